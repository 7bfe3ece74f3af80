"""Shows a live run while it counts: pictures in the object store, observations and log lines in Dagster.

Pictures and figures go to the store at every status. Dagster gets observations (a materialization would mark
the partition as done): the first with the first events, then every 10 s, with growing intervals up to 60 s. With
the log lines, which thin out alike, they take at most 20 MB a run: when the pictures have had their share,
observations carry figures alone. Pictures are drawn in a thread of their own; counting never waits for one.
"""

from __future__ import annotations

import json
import threading
import time
from types import TracebackType

import dagster as dg

from ops.metadata import Pictures, describe_status
from runstart.errors import Transient
from runstart.live import Sources, Status
from runstart.live.accumulation import Accumulation
from runstart.live.publish import make_live_product
from runstart.live.record import run_prefix
from runstart.product import RunProduct, overview_png, thumbnails
from runstart.storage import ObjectStore

FIRST_INTERVAL = 10.0  # seconds between observations
LARGEST_INTERVAL = 60.0
INTERVAL_GROWTH = 1.1
EVENT_LOG_BUDGET = 20_000_000  # bytes in Dagster's event log, for one run
PICTURES_BUDGET = 10_000_000  # of them, while observations still carry pictures
FIGURES_BYTES = 5_500  # more than an observation without pictures takes
LINE_BYTES = 1_500  # more than a progress line takes


class DagsterReporter:
    """Tells of one live run; use it as a context manager.

    Parameters
    ----------
    context : dagster.AssetExecutionContext
        The step.
    store : ObjectStore
        Takes `display/overview.png` and `display/status.json` in the run's folder.
    sources : Sources
        The run.
    """

    def __init__(self, context: dg.AssetExecutionContext, store: ObjectStore, sources: Sources) -> None:
        self._context = context
        self._store = store
        self._sources = sources
        self._folder = run_prefix(sources.record.instrument, sources.record.partition_key)
        self._interval = FIRST_INTERVAL
        self._next_observation = 0.0
        self._line_interval = FIRST_INTERVAL
        self._next_line = 0.0
        self._spent = 0
        self._drawing: threading.Thread | None = None
        self._drawn: tuple[Status, Pictures] | None = None
        self._trouble: str | None = None

    def __enter__(self) -> DagsterReporter:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait for the picture being drawn."""
        if self._drawing is not None:
            self._drawing.join()

    def remark(self, text: str) -> None:
        """Write a line to the run's log."""
        self._context.log.info(text)

    def status(self, status: Status, accumulation: Accumulation) -> None:
        """Draw and store a picture beside the counting; observe and log when it is time."""
        now = time.monotonic()
        self._observe(now)
        if now >= self._next_line and self._spent + LINE_BYTES <= EVENT_LOG_BUDGET:
            self._next_line = now + self._line_interval
            self._line_interval = _longer(self._line_interval)
            self._spent += LINE_BYTES
            self._context.log.info(
                f"{status.phase}: {status.events_in_views:,} events in the views, "
                f"{status.events_per_second:,.0f} a second, {status.lag_seconds:.1f} s behind."
            )
        if self._trouble is not None:
            self._context.log.warning(self._trouble)
            self._trouble = None
        if self._drawing is None or not self._drawing.is_alive():
            product = make_live_product(self._sources.record, accumulation, status.ledger)
            self._drawing = threading.Thread(target=self._draw, args=(status, product), name="display", daemon=True)
            self._drawing.start()

    def _draw(self, status: Status, product: RunProduct) -> None:
        try:
            pictures = Pictures(thumbnails(product), overview_png(product))
            self._store.put(f"{self._folder}/display/overview.png", pictures.overview)
            self._store.put(f"{self._folder}/display/status.json", json.dumps(status.as_dict()).encode())
        except Transient as error:
            self._trouble = f"The live picture could not be stored: {error}"
            return
        except Exception as error:  # noqa: BLE001 - a picture must never cost an event; the log says why
            self._trouble = f"The live picture could not be drawn: {error!r}"
            return
        self._drawn = (status, pictures)

    def _observe(self, now: float) -> None:
        if self._drawn is None or now < self._next_observation:
            return
        status, drawn = self._drawn
        pictures = drawn if self._spent <= PICTURES_BUDGET else None
        size = FIGURES_BYTES + (0 if pictures is None else pictures.nbytes)
        if status.events_in_views == 0 or self._spent + size > EVENT_LOG_BUDGET:
            return
        self._drawn = None
        self._spent += size
        self._next_observation = now + self._interval
        self._interval = _longer(self._interval)
        self._context.log_event(
            dg.AssetObservation(
                asset_key=self._context.asset_key,
                partition=self._context.partition_key,
                metadata=describe_status(status, pictures),
            )
        )


def _longer(interval: float) -> float:
    return min(interval * INTERVAL_GROWTH, LARGEST_INTERVAL)
