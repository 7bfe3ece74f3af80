"""What pages watch: live runs, scans and nights as the store has them, and one feed of their changes for all listeners."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Depends, FastAPI, Request
from pydantic import BaseModel

from gateway.feed import Feed, Source
from gateway.live_runs import LiveRuns
from gateway.nights_seen import NightsSeen
from gateway.scans_seen import ScansSeen

if TYPE_CHECKING:
    from gateway.facility import Facility
    from gateway.tokens import Caller
    from runstart.storage import ObjectStore

LIVE_SECONDS = 0.7  # with the two seconds between two displays of a run, what is seen is never older than three
SCANS_SECONDS = 1.0
NIGHTS_SECONDS = 10.0


@dataclass(frozen=True)
class Watching:
    """What is watched.

    Attributes
    ----------
    facility : Facility
        What is declared.
    live : LiveRuns
        Live runs.
    scans : ScansSeen
        Scans.
    nights : NightsSeen
        Nights.
    feed : Feed
        Its topics are `instrument/NAME`, `run/INSTRUMENT`, `microscope/NAME` and `site/NAME`.
    """

    facility: Facility
    live: LiveRuns
    scans: ScansSeen
    nights: NightsSeen
    feed: Feed

    def topics(self, caller: Caller, instrument: str | None = None) -> list[str]:
        """Return what a caller is told of: all at a glance, and one instrument's run in full."""
        declared = (
            ("instrument", self.facility.instruments),
            ("microscope", self.facility.microscopes),
            ("site", self.facility.sites),
        )
        topics = [f"{kind}/{name}" for kind, names in declared for name in names]
        readable = [topic for topic in topics if caller.may_read(topic)]
        if instrument is not None and f"instrument/{instrument}" in readable:
            readable.insert(0, f"run/{instrument}")
        return readable


def install_watching(app: FastAPI, facility: Facility, store: ObjectStore) -> Watching:
    """Make what pages watch part of an app, where its routes find it.

    Parameters
    ----------
    app : FastAPI
        The app.
    facility : Facility
        What is declared.
    store : ObjectStore
        What is read.
    """
    live = LiveRuns(store, facility.instruments, facility.alerts)
    scans = ScansSeen(store, facility.microscopes)
    nights = NightsSeen(store, facility.sites)

    def read_live() -> dict[str, Any]:
        states, runs = live.overview()
        glance = {f"instrument/{state.name}": _plain(state) for state in states}
        # Null tells a page that the run it showed has ended.
        return {**glance, **{f"run/{s.name}": _plain(runs[s.name]) if s.name in runs else None for s in states}}

    sources = (
        Source(read_live, LIVE_SECONDS),
        Source(lambda: {f"microscope/{each.name}": _plain(each) for each in scans.overview()}, SCANS_SECONDS),
        Source(lambda: {f"site/{each.name}": _plain(each) for each in nights.overview()}, NIGHTS_SECONDS),
    )
    watching = Watching(facility, live, scans, nights, Feed(sources))
    app.state.watching = watching
    return watching


def find_watching(request: Request) -> Watching:
    """Return what the app of a request watches."""
    watching: Watching = request.app.state.watching
    return watching


TheWatching = Annotated[Watching, Depends(find_watching)]


def _plain(model: BaseModel) -> Any:
    return model.model_dump(mode="json")
