"""Finds what to reduce again, and requests it as one asset backfill over all instruments."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import dagster as dg

import runstart
from assets import live_run_key, live_run_partitions
from ops.tags import BATCH, KIND_TAG
from runstart.errors import Alert, Transient
from runstart.upkeep import Choice, Code, Examination, Launches, Rules, choose_runs, examine_runs
from runstart.upkeep.reduce_again import is_recent
from sensors.backfills import make_backfill
from sensors.places import find_place

if TYPE_CHECKING:
    from dagster._core.execution.backfill import PartitionBackfill

    from runstart.instruments import Instrument
    from runstart.instruments.script import Script
    from runstart.storage import ObjectStore

NIGHT_TAG = "runstart/nightly"
CODE_TAG = "runstart/code_version"
RETRY_TAG = "dagster/will_retry"
UNFINISHED = (
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.MANAGED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)
FETCH_SECONDS = 10.0  # for all scripts together
RETRY_SECONDS = 600.0  # Dagster's daemon launches retries each half minute, and may itself be away for a while
_PAGE = 500  # Dagster runs read at a time

Place = tuple[str, str]


@dataclass(frozen=True)
class Night:
    """A night, and the id of its one backfill.

    Attributes
    ----------
    date : str
        YYYY-MM-DD.
    by_hand : str, optional
        The backfill's id when a person asks for it; the night's own id otherwise.
    """

    date: str
    by_hand: str = ""

    @property
    def backfill_id(self) -> str:
        """Id of the backfill; Dagster takes 32 characters."""
        return self.by_hand or f"nightly-{self.date}"


def reduce_again(
    instance: dg.DagsterInstance,
    store: ObjectStore,
    instruments: Sequence[Instrument],
    night: Night,
    rules: Rules,
    *,
    seconds: float,
    dry_run: bool = False,
) -> str:
    """Request the backfill of a night, unless it exists; return what was found, for people.

    Parameters
    ----------
    instance : DagsterInstance
        Knows partitions and launches, and gets the backfill.
    store : ObjectStore
        Knows results.
    instruments : sequence of Instrument
        Whose runs are looked at.
    night : Night
        Which night it is.
    rules : Rules
        What is looked at, and how much is reduced.
    seconds : float
        Time to look at scripts and runs.
    dry_run : bool, optional
        Whether only to say what would be done.

    Raises
    ------
    Transient
        If the object store does not answer.
    """
    if instance.get_backfill(night.backfill_id) is not None:
        return f"Backfill {night.backfill_id} has been requested before; nothing is added to it."
    deadline = time.monotonic() + seconds
    now = datetime.now(UTC)
    codes, remarks = _codes(instruments)
    names = tuple(instrument.name for instrument in instruments)
    launches = read_launches(instance, names, now - timedelta(days=rules.days + 1))
    runs = [
        (name, key)
        for name in names
        for key in instance.get_dynamic_partitions(live_run_partitions(name).name or "")
        if is_recent(key, rules.days, now)
    ]
    found = examine_runs(store, runs, launches, seconds=deadline - time.monotonic())
    chosen, left = choose_runs(found.states, codes, rules, now)
    text = " ".join([_describe(chosen, left, found), *remarks])
    if not chosen:
        return f"Nothing to reduce again. {text}"
    if dry_run:
        return f"A trial: nothing was requested. {text}"
    instance.add_backfill(_backfill(instance, night, chosen, text, now))
    return f"Requested backfill {night.backfill_id}. {text}"


def read_launches(
    instance: dg.DagsterInstance, instruments: Sequence[str], since: datetime
) -> dict[Place, Launches]:
    """Return what Dagster knows of the launches of these instruments' runs since a time, and of all unfinished ones."""
    by_place: dict[Place, list[dg.DagsterRun]] = {}
    unfinished = dg.RunsFilter(statuses=list(UNFINISHED))
    known: set[str] = set()
    for runs_filter in (unfinished, dg.RunsFilter(created_after=since)):
        for run in _pages(instance, runs_filter):
            place = find_place(run, instruments)
            if place is not None and run.run_id not in known:
                known.add(run.run_id)
                by_place.setdefault(place, []).append(run)
    return {place: _launches(instance, runs) for place, runs in by_place.items()}


def _pages(instance: dg.DagsterInstance, runs_filter: dg.RunsFilter) -> Iterator[dg.DagsterRun]:
    """Yield runs, the newest first."""
    cursor: str | None = None
    while True:
        page = instance.get_runs(runs_filter, cursor=cursor, limit=_PAGE)
        yield from page
        if len(page) < _PAGE:
            return
        cursor = page[-1].run_id


def _launches(instance: dg.DagsterInstance, newest_first: list[dg.DagsterRun]) -> Launches:
    nightly = [run for run in newest_first if NIGHT_TAG in run.tags]
    own = [run for run in newest_first if NIGHT_TAG not in run.tags]
    newest = newest_first[0]
    tried = [run for run in nightly if run.tags.get(CODE_TAG) == runstart.__version__]
    succeeded = {run.tags[NIGHT_TAG] for run in tried if run.status is dg.DagsterRunStatus.SUCCESS}
    return Launches(
        unfinished=any(run.status in UNFINISHED for run in newest_first) or _will_go_on(instance, newest),
        terminated=bool(own) and own[0].status is dg.DagsterRunStatus.CANCELED,
        check_failed=newest.status is dg.DagsterRunStatus.FAILURE and _failed_check(instance, newest.run_id),
        nights=len({run.tags[NIGHT_TAG] for run in tried} - succeeded),
        nightly_run_ids=frozenset(run.run_id for run in nightly),
    )


def _will_go_on(instance: dg.DagsterInstance, newest: dg.DagsterRun) -> bool:
    """Tell whether a launch has just failed and Dagster is about to retry it."""
    if newest.status is not dg.DagsterRunStatus.FAILURE or newest.tags.get(RETRY_TAG) != "true":
        return False
    record = instance.get_run_record_by_id(newest.run_id)
    if record is None:
        return False  # somebody has deleted it meanwhile
    ended_at = record.end_time or record.update_timestamp.timestamp()
    return time.time() - ended_at < RETRY_SECONDS


def _failed_check(instance: dg.DagsterInstance, run_id: str) -> bool:
    records = instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
    evaluations = [entry.dagster_event.asset_check_evaluation_data for entry in records if entry.dagster_event]
    return any(
        not evaluation.passed and evaluation.severity is dg.AssetCheckSeverity.ERROR for evaluation in evaluations
    )


def _codes(instruments: Sequence[Instrument]) -> tuple[dict[str, Code], list[str]]:
    """Return what reductions are made with now, and remarks about scripts that could not be fetched."""
    codes, remarks = {}, []
    answers = _fetch_scripts({i.name: i.script for i in instruments if i.script is not None})
    for instrument in instruments:
        sha256, trouble = answers.get(instrument.name, (None, None))
        if trouble is not None:
            remarks.append(f"Whether results of {instrument.name} are of an older script was not judged: {trouble}")
        codes[instrument.name] = Code(runstart.__version__, sha256)
    return codes, remarks


def _fetch_scripts(scripts: Mapping[str, Script]) -> dict[str, tuple[str | None, str | None]]:
    """Return SHA-256 or trouble of each instrument's script, all fetched at once."""
    if not scripts:
        return {}
    from runstart.scripts import fetch

    answers: dict[str, tuple[str | None, str | None]] = {}

    def look(name: str) -> None:
        try:
            answers[name] = fetch(scripts[name], os.environ).sha256, None
        except (Alert, Transient) as error:
            answers[name] = None, str(error)
        except Exception as error:  # noqa: BLE001 - a bug in fetching must not cost the others their night
            answers[name] = None, f"Fetching the script failed: {type(error).__name__}"

    # Daemons, which nobody joins at exit: a source that hangs is left behind.
    threads = [
        threading.Thread(target=look, args=(name,), name=f"script of {name}", daemon=True) for name in scripts
    ]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + FETCH_SECONDS
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    late = None, f"Its source has not answered within {FETCH_SECONDS:g} s."
    return {name: answers.get(name, late) for name in scripts}


def _describe(chosen: Sequence[Choice], left: int, found: Examination) -> str:
    by_instrument: dict[str, Counter[str]] = {}
    for choice in chosen:
        by_instrument.setdefault(choice.instrument, Counter())[choice.reason.text] += 1
    parts = [
        f"{name}: {reasons.total():,} runs ({', '.join(f'{n:,} {why}' for why, n in reasons.items())})."
        for name, reasons in sorted(by_instrument.items())
    ]
    live = sum(state.live for state in found.states)
    parts.append(f"Looked at {len(found.states):,} runs, {live:,} of them live.")
    if left:
        parts.append(f"{left:,} more have to wait for the next night.")
    if found.skipped:
        parts.append(f"There was no time to look at {found.skipped:,} older runs.")
    if found.unreadable:
        parts.append(f"{found.unreadable:,} runs have a damaged head or result, and were left alone.")
    return " ".join(parts)


def _backfill(
    instance: dg.DagsterInstance, night: Night, chosen: Sequence[Choice], text: str, now: datetime
) -> PartitionBackfill:
    from dagster._core.definitions.partitions.subset import DefaultPartitionsSubset

    keys: dict[str, set[str]] = {}
    for choice in chosen:
        keys.setdefault(choice.instrument, set()).add(choice.partition_key)
    return make_backfill(
        instance,
        night.backfill_id,
        {live_run_key(name): DefaultPartitionsSubset(subset) for name, subset in keys.items()},
        title=f"Nightly reduction of {night.date}: {len(chosen):,} runs",
        description=text,
        tags={KIND_TAG: BATCH, NIGHT_TAG: night.date, CODE_TAG: runstart.__version__},
        now=now,
    )
