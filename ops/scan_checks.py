"""What is checked of a scan, whoever has processed it: its account, how much of it is there, and its stored maps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg

from ops.scan_metadata import show_accounting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runstart.microscopes import Microscope
    from runstart.scans import Accounting


def judge_account(accounting: Accounting, key: dg.AssetKey) -> dg.AssetCheckResult:
    """Return whether every stored frame is in exactly one row of the account."""
    found = accounting.contradictions()
    return dg.AssetCheckResult(
        asset_key=key,
        check_name="frames_add_up",
        passed=not found,
        severity=dg.AssetCheckSeverity.ERROR,
        description="\n".join(found) or "All frames are accounted for.",
        metadata={"accounting": show_accounting(accounting)},
    )


def judge_completeness(
    accounting: Accounting, microscope: Microscope, key: dg.AssetKey, *, is_broken_off: bool = False
) -> dg.AssetCheckResult:
    """Return whether as many frames are there as the microscope asks for; a scan that was broken off never passes."""
    missing = 1 - accounting.covered
    told = f"{accounting.missing:,} of {accounting.expected:,} frames are missing ({missing:.2%})."
    return dg.AssetCheckResult(
        asset_key=key,
        check_name="complete",
        passed=missing <= microscope.missing_fraction and not is_broken_off,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"The scan was broken off: {told}" if is_broken_off else told,
        metadata={"missing": accounting.missing, "covered": round(accounting.covered, 6)},
    )


def judge_agreement(contradictions: Sequence[str], key: dg.AssetKey) -> dg.AssetCheckResult:
    """Return whether the stored files of a scan are what was published, by what `find_contradictions` has found."""
    return dg.AssetCheckResult(
        asset_key=key,
        check_name="counts_agree",
        passed=not contradictions,
        severity=dg.AssetCheckSeverity.ERROR,
        description="\n".join(contradictions) or "Maps, account and digest agree.",
    )
