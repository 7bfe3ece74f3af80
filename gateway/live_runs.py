"""Live runs as the object store has them: who runs, how far, with which pictures.

The process of a live run renews its status and its views there; nothing here asks that process, so any number of
gateways read alike. Instruments are those that the facility declares; a run is looked for by a key that is checked
first, so that no name from a client reaches another part of the store.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, Field

from gateway.errors import Refusal
from runstart.alerts import STALE_SECONDS, AlertsConfiguration, Condition, find_live_conditions, read_known
from runstart.live.display import VIEWS_NAME
from runstart.live.finished import list_finished
from runstart.live.head import Version, read_head
from runstart.live.record import run_prefix
from runstart.live.result import Result, load_result
from runstart.metrics import LiveStatus, live_status_key, read_live_statuses
from runstart.storage import ObjectMissing

if TYPE_CHECKING:
    from runstart.instruments import Instrument
    from runstart.storage import ObjectStore, StoredObject

RunState = Literal["counting", "closing", "finishing", "silent", "finished", "unfinished"]

FORGOTTEN_SECONDS = 3600.0  # a status that is older is of a run that nobody waits for
FINISHED_SECONDS = 5.0
MOST_RUNS = 200
_RUN_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,199}")
_PICTURE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,150}\.png")
_PHASES = ("counting", "closing", "finishing")


class AlertNote(BaseModel):
    """Something wrong that people can mend."""

    kind: str = Field(examples=["lag"])
    text: str = Field(examples=["SIMSANS 12: counting is 90 s behind, more than the limit of 60 s."])
    since: float | None = Field(None, description="When it began, in s since 1970, if people were told of it.")


class InstrumentState(BaseModel):
    """One instrument at a glance."""

    name: str = Field(examples=["SIMSANS"])
    title: str = ""
    live_reduction: bool = Field(True, description="Whether a RunStart starts a live run by itself.")
    state: Literal["running", "silent", "idle"] = Field(
        description="`silent`: a run is live, but has told nothing for 30 s."
    )
    run: str | None = Field(
        None, description="Key of the run that is live, or else of the newest that is finished."
    )
    run_name: str | None = None
    phase: str | None = Field(None, description="`counting`, `closing` or `finishing` while a run is live.")
    written_at: float | None = Field(None, description="When the run told its figures, in s since 1970.")
    events: int | None = Field(None, description="Events in the TOF spectrum.")
    events_per_second: float | None = None
    lag_seconds: float | None = Field(None, description="Age of the newest message counted.")
    alert: AlertNote | None = Field(None, description="The newest thing that is wrong.")
    alerts: int = Field(0, description="How many things are wrong.")


class RunDetail(BaseModel):
    """One run in full."""

    instrument: str
    run: str
    run_name: str = ""
    state: RunState
    status: LiveStatus | None = Field(None, description="What the run told last; none once it has ended.")
    alerts: list[AlertNote] = []
    ledger: dict[str, int] = Field({}, description="What became of every message and event that was read.")
    proton_charge_uah: float = 0.0
    stop_reason: str = ""
    shortcomings: list[str] = Field([], description="Why a finished run is incomplete.")
    dagster_run_id: str = ""
    digest: str = Field("", description="SHA-256 over views, series and ledger of a finished run.")
    pictures: list[str] = Field([], description="Names of PNG pictures of it.")


class RunName(BaseModel):
    """One run of a list."""

    run: str
    is_live: bool


class LiveRuns:
    """The live runs of a facility.

    Parameters
    ----------
    store : ObjectStore
        Where runs keep what they tell.
    instruments : mapping of str to Instrument
        As declared.
    alerts : AlertsConfiguration, optional
        Limits of what is wrong.
    """

    def __init__(
        self, store: ObjectStore, instruments: Mapping[str, Instrument], alerts: AlertsConfiguration | None = None
    ) -> None:
        self._store = store
        self._instruments = dict(instruments)
        self._alerts = AlertsConfiguration() if alerts is None else alerts
        self._read_finished: dict[str, tuple[float, str | None]] = {}

    def overview(self) -> tuple[list[InstrumentState], dict[str, RunDetail]]:
        """Return every instrument at a glance, and the run that is live at each that has one.

        Raises
        ------
        Transient
            If the store does not answer.
        """
        now = time.time()
        newest = self._newest(now)
        wrong = self._conditions(newest.values(), now)
        states = [
            self._state(instrument, newest.get(name), wrong.get(name, []), now)
            for name, instrument in self._instruments.items()
        ]
        details = {name: _live_detail(status, wrong.get(name, []), now) for name, status in newest.items()}
        return states, details

    def runs(self, instrument: str, limit: int = MOST_RUNS) -> list[RunName]:
        """Return the runs of an instrument, the newest first: live ones and those that have a result.

        Raises
        ------
        Refusal
            404, if there is no such instrument.
        """
        self._check(instrument)
        live = {s.partition_key for s in self._live(time.time()) if s.instrument == instrument}
        keys = sorted({*live, *list_finished(self._store, instrument)}, reverse=True)
        return [RunName(run=key, is_live=key in live) for key in keys[:limit]]

    def current(self, instrument: str) -> RunDetail:
        """Return the run that is live, or else the newest that has a result.

        Raises
        ------
        Refusal
            404, if the instrument has no run.
        """
        found = self.runs(instrument)
        if not found:
            raise Refusal(404, f"{instrument} has no run yet.")
        return self.run(instrument, max(found, key=lambda name: (name.is_live, name.run)).run)

    def run(self, instrument: str, run: str) -> RunDetail:
        """Return one run.

        Raises
        ------
        Refusal
            404, if there is no such run.
        """
        self._check(instrument, run)
        now = time.time()
        status = self._status(instrument, run)
        if status is not None and status.age(now) <= FORGOTTEN_SECONDS:
            return _live_detail(status, self._conditions([status], now).get(instrument, []), now)
        version = read_head(self._store, instrument, run).current
        if version is not None:
            return self._finished(instrument, run, version)
        if self._store.head(f"{run_prefix(instrument, run)}/run_start.json") is None:
            raise Refusal(404, f"{instrument} has no run {run}.")
        return RunDetail(instrument=instrument, run=run, state="unfinished")

    def views(self, instrument: str, run: str) -> StoredObject:
        """Return what a page draws of a run: of a live one as it was last shown, of a finished one its result.

        Raises
        ------
        Refusal
            404, if there is no such run, or it has shown nothing yet.
        """
        for folder in self._folders(instrument, run):
            try:
                return self._store.get(f"{folder}/{VIEWS_NAME}")
            except ObjectMissing:
                continue
        raise Refusal(404, f"Run {run} of {instrument} has shown nothing yet.")

    def picture(self, instrument: str, run: str, name: str) -> StoredObject:
        """Return a PNG picture of a run.

        Raises
        ------
        Refusal
            404, if there is none of that name.
        """
        if _PICTURE.fullmatch(name):
            for folder in self._folders(instrument, run):
                try:
                    return self._store.get(f"{folder}/{name}")
                except ObjectMissing:
                    continue
        raise Refusal(404, f"Run {run} of {instrument} has no such picture.")

    def _folders(self, instrument: str, run: str) -> list[str]:
        """Return where a run's views and pictures may lie, those that count first."""
        self._check(instrument, run)
        shown = f"{run_prefix(instrument, run)}/display"
        status = self._status(instrument, run)
        if status is not None and status.age(time.time()) <= STALE_SECONDS:
            return [shown]
        version = read_head(self._store, instrument, run).current
        return [shown] if version is None else [version.folder, shown]

    def _check(self, instrument: str, run: str | None = None) -> None:
        if instrument not in self._instruments:
            raise Refusal(404, "There is no such instrument.")
        if run is not None and (not _RUN_KEY.fullmatch(run) or ".." in run):
            raise Refusal(404, f"{instrument} has no such run.")

    def _status(self, instrument: str, run: str) -> LiveStatus | None:
        try:
            return LiveStatus.model_validate_json(self._store.get(live_status_key(instrument, run)).data)
        except (ObjectMissing, ValueError):
            return None

    def _live(self, now: float) -> list[LiveStatus]:
        found = read_live_statuses(self._store).statuses
        return [s for s in found if s.instrument in self._instruments and s.age(now) <= FORGOTTEN_SECONDS]

    def _newest(self, now: float) -> dict[str, LiveStatus]:
        """Return for each instrument the status that was written last."""
        newest: dict[str, LiveStatus] = {}
        for status in sorted(self._live(now), key=lambda status: status.written_at):
            newest[status.instrument] = status
        return newest

    def _conditions(self, statuses: Iterable[LiveStatus], now: float) -> dict[str, list[AlertNote]]:
        """Return what is wrong with each instrument, the newest first."""
        known = {each.condition.identity: each.condition for each in read_known(self._store)}
        live = find_live_conditions(statuses, self._alerts, now)
        notes: dict[str, list[tuple[float, AlertNote]]] = {}

        def add(condition: Condition, since: float | None) -> None:
            note = AlertNote(kind=condition.kind, text=condition.text, since=since)
            notes.setdefault(condition.instrument, []).append((now if since is None else since, note))

        for condition in live:
            told = known.pop(condition.identity, None)
            add(condition, None if told is None else told.since)
        for condition in known.values():
            add(condition, condition.since)
        return {
            name: [note for _, note in sorted(found, key=lambda pair: -pair[0])] for name, found in notes.items()
        }

    def _state(
        self, instrument: Instrument, status: LiveStatus | None, wrong: list[AlertNote], now: float
    ) -> InstrumentState:
        state = InstrumentState(
            name=instrument.name,
            title=instrument.title,
            live_reduction=instrument.live_reduction,
            state="idle",
            alert=wrong[0] if wrong else None,
            alerts=len(wrong),
        )
        if status is None:
            return state.model_copy(update={"run": self._newest_finished(instrument.name, now)})
        return state.model_copy(
            update={
                "state": "running" if status.age(now) <= STALE_SECONDS else "silent",
                "run": status.partition_key,
                "run_name": status.run_name,
                "phase": status.phase,
                "written_at": status.written_at,
                "events": status.events_in_views,
                "events_per_second": status.events_per_second,
                "lag_seconds": status.lag_seconds,
            }
        )

    def _newest_finished(self, instrument: str, now: float) -> str | None:
        """Return the newest run with a result, as it was a few seconds ago: forty idle instruments must cost little."""
        read_at, newest = self._read_finished.get(instrument, (0.0, None))
        if not read_at <= now <= read_at + FINISHED_SECONDS:
            finished = list_finished(self._store, instrument)
            newest = finished[-1] if finished else None
            self._read_finished[instrument] = (now, newest)
        return newest

    def _finished(self, instrument: str, run: str, version: Version) -> RunDetail:
        try:
            result: Result = load_result(self._store, version)
        except ObjectMissing:
            raise Refusal(404, f"The result of run {run} of {instrument} has been removed.") from None
        return RunDetail(
            instrument=instrument,
            run=run,
            state="finished",
            ledger=result.ledger,
            proton_charge_uah=result.proton_charge_uah,
            stop_reason=result.stop_reason,
            shortcomings=list(result.shortcomings),
            dagster_run_id=result.run_id,
            digest=result.digest,
            pictures=[name for name in result.files if _PICTURE.fullmatch(name)],
        )


def _live_detail(status: LiveStatus, wrong: list[AlertNote], now: float) -> RunDetail:
    phase = status.phase if status.phase in _PHASES else "counting"
    return RunDetail.model_validate(
        {
            "instrument": status.instrument,
            "run": status.partition_key,
            "run_name": status.run_name,
            "state": phase if status.age(now) <= STALE_SECONDS else "silent",
            "status": status,
            "alerts": wrong,
            "ledger": status.ledger,
            "proton_charge_uah": status.proton_charge_uah,
            "dagster_run_id": status.dagster_run_id,
            "pictures": ["overview.png"],
        }
    )
