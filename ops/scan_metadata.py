"""What Dagster's pages show of a scan: its header and account, pictures, and figures to plot over scans."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import dagster as dg

from ops.metadata import show_png

if TYPE_CHECKING:
    from runstart.frame_files import ScanHeader
    from runstart.scans import Accounting, Plan, ScanResult
    from runstart.storage import ObjectStore

LARGEST_PICTURE = 2_000_000  # bytes in Dagster's event log, which keeps them; a larger one is in the store alone

_MEANINGS = {
    "expected": "Scan positions times frames at each",
    "stored": "Frames in the file",
    "seen": "Different frames of the scan: those that count",
    "duplicate": "Came again; the first counts",
    "unplaced": "Belong to no position of the scan",
    "damaged": "Checksum is wrong",
    "missing": "Are not there: NaN in the maps",
}
_FIGURES = {
    "counted_scan": ("electrons", "per_frame"),
    "center_of_mass": ("mean_row", "mean_column"),
    "virtual_images": ("per_frame",),
    "phase": (),
    "diffraction_pattern": ("total", "per_frame", "center_row", "center_column"),
}
_OBJECTS = {"counted_scan": "counted.h5"}


def show_accounting(accounting: Accounting) -> dg.TableMetadataValue:
    """Return the account of frames as a table with a meaning for each row."""
    return dg.MetadataValue.table(
        [
            dg.TableRecord({"frames": name, "number": f"{number:,}", "meaning": _MEANINGS[name]})
            for name, number in accounting.as_dict().items()
        ]
    )


def describe_plan(plan: Plan, header: ScanHeader) -> dict[str, Any]:
    """Return the metadata of a raw scan.

    Parameters
    ----------
    plan : Plan
        How it will be processed.
    header : ScanHeader
        What is known of the scan, with the microscope's calibration.
    """
    return {
        **plan.accounting.as_dict(),
        "covered": round(plan.accounting.covered, 6),
        "accounting": show_accounting(plan.accounting),
        "header": dg.MetadataValue.table([dg.TableRecord(fact) for fact in _facts(header)]),
        "recipe": dg.MetadataValue.json(plan.recipe.model_dump(mode="json", exclude_none=True)),
        "batches": len(plan.batches),
        "file version": plan.version,
        "plan": plan.key,
    }


def describe_result(result: ScanResult, asset: str, store: ObjectStore) -> dict[str, Any]:
    """Return the metadata of one asset of a scan: pictures first, digests last.

    Parameters
    ----------
    result : ScanResult
        What was published.
    asset : str
        Which part of it.
    store : ObjectStore
        Has the pictures.
    """
    figures = {name: result.figures[name] for name in _FIGURES[asset] if name in result.figures}
    return _pictures(result, asset, store) | {
        **{name: value for name, value in figures.items() if not _is_nan(value)},
        "covered": round(result.accounting.covered, 6),
        "missing": result.accounting.missing,
        "is partial": result.is_partial,
        "ended": result.ended,
        "accounting": show_accounting(result.accounting),
        "object": result.objects[_OBJECTS.get(asset, "scan.nxs")],
        "folder": result.folder,
        "result_sha256": result.digest,
        "code version": result.code_version,
    }


def _pictures(result: ScanResult, asset: str, store: ObjectStore) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    if asset in result.thumbnails:
        shown["thumbnail"] = dg.MetadataValue.md(result.thumbnails[asset])
    if (key := result.objects.get(f"{asset}.png")) is not None:
        picture = store.get(key).data
        if len(picture) <= LARGEST_PICTURE:
            shown["picture"] = show_png(picture, asset)
    return shown


def _facts(header: ScanHeader) -> list[dict[str, str]]:
    facts = {
        "scan": f"{header.scan_shape[0]} x {header.scan_shape[1]} positions",
        "frame": f"{header.frame_shape[0]} x {header.frame_shape[1]} pixels, {header.dtype}",
        "frames at each position": f"{header.frames_per_position}",
        "name": header.scan,
        "started": header.started,
        **{name: f"{value:g}" for name, value in header.calibration.items()},
    }
    return [{"fact": name, "value": value} for name, value in facts.items() if value]


def _is_nan(value: object) -> bool:
    return isinstance(value, float) and not math.isfinite(value)
