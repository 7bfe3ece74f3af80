"""Finds the nights that a new making can improve, and requests them as one asset backfill over all sites.

What was made of what is told by the records in the object store; what failed or still works, by Dagster.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import dagster as dg

from assets import Nights, night_partitions
from ops.night_reduction import night_asset_key
from ops.tags import BATCH, KIND_TAG
from runstart.errors import Alert, Transient
from sensors.backfills import make_backfill

if TYPE_CHECKING:
    from runstart.nights import Choice, NightState
    from runstart.operation_kit import Workplace

AGAIN_TAG = "runstart/nights_again"
_CHUNK = 200  # nights looked at between two looks at the clock
_NEWEST = 60  # nights that each tick looks at first


@dataclass(frozen=True)
class Tick:
    """One tick of the schedule.

    Attributes
    ----------
    backfill_id : str
        Of the backfill that it requests: a tick that is repeated requests no second one.
    seconds : float
        Time to look at nights.
    dry_run : bool
        Whether only to say what would be done.
    """

    backfill_id: str
    seconds: float
    dry_run: bool = False


@dataclass(frozen=True)
class Known:
    """What Dagster knows of a site's nights, the newest first."""

    nights: tuple[str, ...]
    failed: frozenset[str]
    unfinished: frozenset[str]


def make_nights_again(
    instance: dg.DagsterInstance, workplace: Workplace, sites: Sequence[Nights], tick: Tick
) -> str:
    """Request the backfill of a tick, unless it exists or nothing has to be made; return what was found, for people.

    A site whose exposures cannot be reached is told, and does not keep the others from being looked at.

    Raises
    ------
    Transient
        If the object store does not answer.
    """
    from runstart.nights import choose_nights, has_begun, note_attempts

    if instance.get_backfill(tick.backfill_id) is not None:
        return f"Backfill {tick.backfill_id} has been requested before; nothing is added to it."
    deadline = time.monotonic() + tick.seconds
    states: list[NightState] = []
    skipped = 0
    remarks = []
    for site in sites:
        if not has_begun(workplace.store, site.site):
            continue
        try:
            found, left = _examine(instance, workplace, site, tick.backfill_id, deadline)
        except (Alert, Transient) as error:
            remarks.append(f"Nights of {site.site.name} were not looked at: {error}")
            continue
        states += found
        skipped += left
    chosen, waiting = choose_nights(states)
    text = " ".join([_describe(chosen, len(states), waiting, skipped), *remarks])
    if not chosen:
        return f"Nothing to make again. {text}"
    if tick.dry_run:
        return f"A trial: nothing was requested. {text}"
    note_attempts(workplace.store, chosen)
    instance.add_backfill(_backfill(instance, sites, chosen, tick.backfill_id, text))
    return f"Requested backfill {tick.backfill_id}. {text}"


def ask_dagster(instance: dg.DagsterInstance, nights: Nights) -> Known:
    """Return the nights of a site, and which of them failed last or are being made."""
    from dagster._core.storage.partition_status_cache import AssetPartitionStatus

    partitions = night_partitions(nights.site)
    keys = partitions.get_partition_keys()
    failed: set[str] = set()
    unfinished: set[str] = set()
    for asset_key in nights.assets.keys:
        statuses = instance.get_status_by_partition(asset_key, keys, partitions) or {}
        failed |= {key for key, status in statuses.items() if status is AssetPartitionStatus.FAILED}
        unfinished |= {key for key, status in statuses.items() if status is AssetPartitionStatus.IN_PROGRESS}
    return Known(tuple(reversed(keys)), frozenset(failed), frozenset(unfinished))


def _examine(
    instance: dg.DagsterInstance, workplace: Workplace, nights: Nights, tick_id: str, deadline: float
) -> tuple[list[NightState], int]:
    """Return the states of a site's nights, as many as there is time for, and how many were left out."""
    from runstart.nights import examine_nights

    known = ask_dagster(instance, nights)
    in_order = _newest_then_any(known.nights, tick_id)
    states: list[NightState] = []
    for first in range(0, len(in_order), _CHUNK):
        if time.monotonic() > deadline:
            return states, len(in_order) - first
        chunk = in_order[first : first + _CHUNK]
        states += examine_nights(workplace, nights.site, chunk, failed=known.failed, unfinished=known.unfinished)
    return states, 0


def _newest_then_any(nights: Sequence[str], tick_id: str) -> list[str]:
    """Return the newest nights, then the others in an order that each tick draws anew: all of them get their turn."""
    others = list(nights[_NEWEST:])
    random.Random(tick_id).shuffle(others)  # noqa: S311 - no secret
    return [*nights[:_NEWEST], *others]


def _describe(chosen: Iterable[Choice], examined: int, waiting: int, skipped: int) -> str:
    by_site: dict[str, Counter[str]] = {}
    for choice in chosen:
        by_site.setdefault(choice.site, Counter())[choice.reason.text] += 1
    parts = [
        f"{site}: {reasons.total():,} nights ({', '.join(f'{n:,} {why}' for why, n in reasons.items())})."
        for site, reasons in sorted(by_site.items())
    ]
    parts.append(f"Looked at {examined:,} nights.")
    if waiting:
        parts.append(f"{waiting:,} more have to wait for the next time.")
    if skipped:
        parts.append(f"There was no time to look at {skipped:,} older nights.")
    return " ".join(parts)


def _backfill(
    instance: dg.DagsterInstance, sites: Sequence[Nights], chosen: Sequence[Choice], backfill_id: str, text: str
) -> object:
    partitions = {nights.site.name: night_partitions(nights.site) for nights in sites}
    keys: dict[tuple[str, str], set[str]] = {}
    for choice in chosen:
        for asset in choice.assets:
            keys.setdefault((choice.site, asset), set()).add(choice.night)
    return make_backfill(
        instance,
        backfill_id,
        {
            night_asset_key(site, asset): partitions[site].subset_with_partition_keys(nights)
            for (site, asset), nights in keys.items()
        },
        title=f"Nights again: {len(chosen):,}",
        description=text,
        tags={KIND_TAG: BATCH, AGAIN_TAG: backfill_id},
        now=datetime.now(UTC),
    )
