"""Shows a live run while it counts: pictures in the object store, observations and log lines in Dagster.

Pictures and figures go to the store at every status. Dagster gets observations (a materialization would mark
the partition as done): the first with the first events, then every 10 s, with growing intervals up to 60 s. With
the log lines, which thin out alike, they take at most 20 MB a run: when the pictures have had their share,
observations carry figures alone. Pictures are drawn in a thread of their own; counting never waits for one.
"""

from __future__ import annotations

import contextlib
import json
import time
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any

import dagster as dg

from ops.live_display import LINE_BYTES, Display, EventLogBudget, GrowingInterval
from ops.metadata import Pictures, describe_status
from runstart.errors import Transient
from runstart.live import Sources, Status
from runstart.live.accumulation import Accumulation
from runstart.live.display import VIEWS_NAME, views_json
from runstart.live.publish import make_live_product
from runstart.live.record import run_prefix
from runstart.metrics import live_status_key
from runstart.product import RunProduct, log_thumbnails, overview_png, thumbnails
from runstart.storage import ObjectStore

if TYPE_CHECKING:
    from runstart.live.script_run import ShownOutcome
    from runstart.live.status import LogsSoFar
    from runstart.scripts import ScriptOutcome

FIRST_INTERVAL = 10.0  # seconds between observations
EVENT_LOG_BUDGET = 20_000_000  # bytes in Dagster's event log, for one run
PICTURES_BUDGET = 10_000_000  # of them, while observations still carry pictures
FIGURES_BYTES = 5_500  # more than an observation without pictures takes


class DagsterReporter:
    """Tells of one live run; use it as a context manager.

    Parameters
    ----------
    context : dagster.AssetExecutionContext
        The step.
    store : ObjectStore
        Takes `display/overview.png`, `display/views.json` and `display/status.json` in the run's folder.
    sources : Sources
        The run.
    """

    def __init__(self, context: dg.AssetExecutionContext, store: ObjectStore, sources: Sources) -> None:
        self._context = context
        self._store = store
        self._sources = sources
        self._folder = run_prefix(sources.record.instrument, sources.record.partition_key)
        self._observations = GrowingInterval(FIRST_INTERVAL)
        self._lines = GrowingInterval(FIRST_INTERVAL)
        self._budget = EventLogBudget(EVENT_LOG_BUDGET, PICTURES_BUDGET)
        self._display: Display[tuple[Status, Pictures]] = Display(context.log.warning)
        self._stored: ShownOutcome | None = None
        self._script = _ScriptLines()
        self._shown: ShownOutcome | None = None
        self._live_key = live_status_key(sources.record.instrument, sources.record.partition_key)

    def __enter__(self) -> DagsterReporter:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait for the picture being drawn, and list the run as live no more."""
        self._display.close()
        with contextlib.suppress(Transient):  # pruning removes what stays behind
            self._store.delete(self._live_key)

    def remark(self, text: str) -> None:
        """Write a line to the run's log."""
        self._context.log.info(text)

    def status(self, status: Status, accumulation: Accumulation, logs: LogsSoFar) -> None:
        """Draw and store a picture beside the counting; observe and log when it is time."""
        now = time.monotonic()
        self._observe(now)
        if self._lines.is_over(now) and self._budget.spend(LINE_BYTES):
            self._lines.begin(now)
            self._context.log.info(
                f"{status.phase}: {status.events_in_views:,} events in the views, "
                f"{status.events_per_second:,.0f} a second, {status.lag_seconds:.1f} s behind."
            )
        self._display.tell_trouble()
        if not self._display.is_busy:
            product = make_live_product(self._sources.record, accumulation, status.ledger)
            self._display.start(lambda: (status, self._draw(status, product, logs)))

    def script(self, shown: ShownOutcome) -> None:
        """Log what the reduction script printed and what went wrong; its pictures go with the next display."""
        self._shown = shown
        for line in self._script.new_lines(shown.outcome, time.monotonic()):
            if self._budget.spend(len(line)):
                (self._context.log.warning if shown.outcome.error else self._context.log.info)(line)

    def _draw(self, status: Status, product: RunProduct, logs: LogsSoFar) -> Pictures:
        shown = self._shown
        script_pictures = {} if shown is None or shown is self._stored else shown.pictures
        script_thumbnails = {} if shown is None else shown.thumbnails
        product = replace(product, logs=logs())
        # First the views: who sees a new status finds them there.
        views = views_json(product, None if shown is None else shown.outcome)
        self._store.put(f"{self._folder}/display/{VIEWS_NAME}", views)
        text = json.dumps(self._identity() | status.as_dict()).encode()
        self._store.put(f"{self._folder}/display/status.json", text)
        self._store.put(self._live_key, text)
        small = script_thumbnails | thumbnails(product) | log_thumbnails(product)
        pictures = Pictures(small, overview_png(product))
        self._store.put(f"{self._folder}/display/overview.png", pictures.overview)
        for name, png in script_pictures.items():
            self._store.put(f"{self._folder}/display/{name}", png)
        self._stored = shown
        return pictures

    def _identity(self) -> dict[str, Any]:
        """Return what tells a live status from others."""
        record = self._sources.record
        return {
            "instrument": record.instrument,
            "partition_key": record.partition_key,
            "run_name": record.start.run_name,
            "dagster_run_id": self._context.run.run_id,
            "written_at": time.time(),
        }

    def _observe(self, now: float) -> None:
        if self._display.drawn is None or not self._observations.is_over(now):
            return
        status, drawn = self._display.drawn
        pictures = drawn if self._budget.has_pictures else None
        size = FIGURES_BYTES + (0 if pictures is None else pictures.nbytes)
        if status.events_in_views == 0 or not self._budget.spend(size):
            return
        self._display.drop()
        self._observations.begin(now)
        self._context.log_event(
            dg.AssetObservation(
                asset_key=self._context.asset_key,
                partition=self._context.partition_key,
                metadata=describe_status(status, pictures),
            )
        )


class _ScriptLines:
    """Thins out what a script says: the same words, or words too often, are not told again."""

    def __init__(self) -> None:
        self._told = ""
        self._interval = GrowingInterval(FIRST_INTERVAL)

    def new_lines(self, outcome: ScriptOutcome, now: float) -> list[str]:
        """Return what is to be logged of an execution."""
        said = [f"The reduction script printed:\n{outcome.output.rstrip()}"] if outcome.output.strip() else []
        if outcome.error:
            said.append(f"The reduction script failed: {outcome.error}")
        text = "\n".join(said)
        if text == self._told or not self._interval.is_over(now):
            return []
        self._told = text
        self._interval.begin(now)
        return said
