"""Shows a scan while it is followed: pictures in the object store, observations and log lines in Dagster.

Picture and figures go to the store at every status. Dagster gets observations (a materialization would mark the partition
as done): the first with the first frames, then every 5 s, with growing intervals up to 60 s. With the log lines, which thin
out alike, they take at most 10 MB a scan: when the pictures have had their share, observations carry figures alone.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any

import dagster as dg

from ops.live_display import LINE_BYTES, Display, EventLogBudget, GrowingInterval
from ops.metadata import Pictures, show_png
from ops.scan_metadata import show_accounting
from ops.scan_processing import scan_asset_key
from runstart.errors import Alert, Transient

if TYPE_CHECKING:
    from runstart.scans import ScanProduct, ScanResult, ScanStatus, ScanWork

OBSERVED = "center_of_mass"
FIRST_INTERVAL = 5.0  # seconds between observations
EVENT_LOG_BUDGET = 10_000_000  # bytes in Dagster's event log, for one run
PICTURES_BUDGET = 5_000_000  # of them, while observations still carry pictures
FIGURES_BYTES = 4_000  # more than an observation without pictures takes
LONG_WAIT = 3.0  # seconds without a frame that are worth telling


class DagsterScanReporter:
    """Tells of one scan that is followed; use it as a context manager.

    Parameters
    ----------
    context : dagster.OpExecutionContext
        The step; its partition is the scan.
    work : ScanWork
        The scan; its store takes `display/overview.png` and `display/status.json` in the scan's folder.
    """

    def __init__(self, context: dg.OpExecutionContext, work: ScanWork) -> None:
        self._context = context
        self._work = work
        self._folder = f"{work.microscope.folder(work.record.scan)}/display"
        self._observations = GrowingInterval(FIRST_INTERVAL)
        self._lines = GrowingInterval(FIRST_INTERVAL)
        self._budget = EventLogBudget(EVENT_LOG_BUDGET, PICTURES_BUDGET)
        self._display: Display[tuple[ScanStatus, Pictures | None]] = Display(context.log.warning)
        self._last: dict[str, Any] = {}
        self._result: ScanResult | None = None

    def __enter__(self) -> DagsterScanReporter:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait for the picture being drawn, and leave a status that says how it ended."""
        self._display.close()
        with contextlib.suppress(Transient, Alert):  # what is displayed is no result
            self._put_last(self._result)

    def remark(self, text: str) -> None:
        """Write a line to the run's log."""
        self._context.log.info(text)

    def status(self, status: ScanStatus, product: Callable[[], ScanProduct] | None) -> None:
        """Draw and store a picture beside the counting; observe and log when it is time."""
        now = time.monotonic()
        self._observe(now)
        if self._lines.is_over(now) and self._budget.spend(LINE_BYTES):
            self._lines.begin(now)
            self._context.log.info(_describe(status))
        self._display.tell_trouble()
        if not self._display.is_busy:
            self._display.start(lambda: (status, self._draw(status, product)))

    def finish(self, result: ScanResult) -> None:
        """Take the result, which is what is displayed from now on."""
        self._result = result

    def _draw(self, status: ScanStatus, product: Callable[[], ScanProduct] | None) -> Pictures | None:
        from runstart.scans.pictures import overview_picture
        from runstart.scans.thumbnails import scan_thumbnails

        self._last = status.as_dict()
        self._put_status({**self._last, "ended": ""})
        if product is None:
            return None
        now = product()
        pictures = Pictures(dict(scan_thumbnails(now)), overview_picture(now))
        self._work.store.put(f"{self._folder}/overview.png", pictures.overview)
        return pictures

    def _put_last(self, result: ScanResult | None) -> None:
        if result is None:
            self._put_status({**self._last, "ended": "stopped"})
            return
        accounting = result.accounting
        figures = {**self._last, **accounting.as_dict(), "covered": accounting.covered}
        picture = self._work.store.get(result.objects["overview.png"]).data
        self._work.store.put(f"{self._folder}/overview.png", picture)
        self._put_status({**figures, "frames_per_second": 0.0, "ended": result.ended, "folder": result.folder})

    def _put_status(self, figures: dict[str, Any]) -> None:
        told = {
            "microscope": self._work.microscope.name,
            "scan": self._work.record.scan,
            "dagster_run_id": self._context.run.run_id,
            "written_at": time.time(),
            **figures,
        }
        self._work.store.put(f"{self._folder}/status.json", json.dumps(told).encode())

    def _observe(self, now: float) -> None:
        if self._display.drawn is None or not self._observations.is_over(now):
            return
        status, drawn = self._display.drawn
        pictures = drawn if self._budget.has_pictures else None
        size = FIGURES_BYTES + (0 if pictures is None else pictures.nbytes)
        if drawn is None or not self._budget.spend(size):
            return
        self._display.drop()
        self._observations.begin(now)
        self._context.log_event(
            dg.AssetObservation(
                asset_key=scan_asset_key(self._work.microscope, OBSERVED),
                partition=self._work.record.scan,
                metadata=describe_status(status, pictures),
            )
        )


def describe_status(status: ScanStatus, pictures: Pictures | None) -> dict[str, Any]:
    """Return the metadata of an observation of a scan that goes on: how far it is, pictures, and the account last."""
    shown: dict[str, Any] = {"covered": round(status.accounting.covered, 6)}
    if pictures is not None:
        shown |= {name.replace("_", " "): dg.MetadataValue.md(text) for name, text in pictures.thumbnails.items()}
        shown["overview"] = show_png(pictures.overview, "overview")
    return shown | {
        "seen": status.accounting.seen,
        "frames_per_second": round(status.frames_per_second, 1),
        "waiting_seconds": round(status.waiting_seconds, 1),
        "accounting": show_accounting(status.accounting),
    }


def _describe(status: ScanStatus) -> str:
    account = status.accounting
    text = f"{account.seen:,} of {account.expected:,} frames ({account.covered:.1%})"
    if status.waiting_seconds > LONG_WAIT:
        return f"{text}, none for {status.waiting_seconds:.0f} s."
    return f"{text}, {status.frames_per_second:,.0f} a second."
