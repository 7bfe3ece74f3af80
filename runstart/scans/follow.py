"""Follows a scan while it is written or streamed: pictures as it grows, and the exact result as soon as it ends.

Frames are counted as they come. When the scan has ended, its plan is made as for a finished file; what was counted
meanwhile is the result if it was counted by that plan (the same frames around the same centre, none of them damaged), and
otherwise the file is processed once more. So a scan has the same result whether it was followed or not; bit for
bit, unless its frames are float32, whose sums are rounded in the order in which they came.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from runstart.frame_files import FrameSource
from runstart.frames import FramePass, Partial, Recipe, merge_partials
from runstart.scans.accounting import Accountant
from runstart.scans.model import Accounting, ScanProduct, ScanResult
from runstart.scans.partials import process_whole
from runstart.scans.passes import find_scan_center, make_pass, process_range
from runstart.scans.plan import Plan, make_plan
from runstart.scans.publish import BROKEN_OFF, CLOSED, COMPLETE, make_product, publish
from runstart.scans.work import ScanWork

LOOK_SECONDS = 0.2
MOST_AT_ONCE = 4096  # frames between two looks at the clock


@dataclass(frozen=True)
class ScanStatus:
    """How far a scan is that goes on.

    Attributes
    ----------
    accounting : Accounting
        What became of the frames so far.
    frames_per_second : float
        Since the last status.
    waiting_seconds : float
        Since the last frame came.
    """

    accounting: Accounting
    frames_per_second: float
    waiting_seconds: float

    def as_dict(self) -> dict[str, Any]:
        """Return all figures by name."""
        return {
            **self.accounting.as_dict(),
            "covered": self.accounting.covered,
            "frames_per_second": self.frames_per_second,
            "waiting_seconds": self.waiting_seconds,
        }


class ScanReporter(Protocol):
    """Is told of a scan that is followed."""

    def remark(self, text: str) -> None:
        """Take a sentence for people."""

    def status(self, status: ScanStatus, product: Callable[[], ScanProduct] | None) -> None:
        """Take the state of a scan.

        Called once each display interval; must return soon. `product` makes the maps of now, and may be called in
        another thread while counting goes on; it is None before the first frame.
        """


def follow_scan(work: ScanWork, reporter: ScanReporter, *, stop: Callable[[], bool] = lambda: False) -> ScanResult:
    """Follow a scan to its end, and return the result that counts.

    Parameters
    ----------
    work : ScanWork
        The scan.
    reporter : ScanReporter
        Is told how it goes on.
    stop : callable, optional
        Ends the scan as broken off when it returns True.

    Raises
    ------
    Alert
        If no frame ever comes, or the file is damaged, gone, or was replaced.
    Transient
        If disk, broker or store do not answer.
    """
    with work.open() as source:
        follower = _Follower(work, source, reporter)
        ended = follower.follow(stop)
        plan = make_plan(work, source)
        live = follower.result(plan)
        if live is None:
            reporter.remark("The scan is processed once more, as a whole.")
            partial, accounting = process_whole(work, source, plan)
        else:
            partial, accounting = live, plan.accounting
    if ended == COMPLETE and accounting.missing:
        ended = CLOSED
    return publish(work, plan, make_product(work, plan, partial, accounting, ended))


class _Follower:
    """Counts frames as they come."""

    def __init__(self, work: ScanWork, source: FrameSource, reporter: ScanReporter) -> None:
        self._work = work
        self._source = source
        self._reporter = reporter
        self._accountant = Accountant(source.header)
        self._counts = np.zeros(0, np.bool_)  # of all stored frames that the accountant has taken
        self._done = 0  # stored frames that have been processed
        self._recipe: Recipe | None = None
        self._pass: FramePass | None = None
        self._sums: list[Partial] = []  # without events
        self._events: list[Partial] = []
        self._is_damaged = False
        self._shown = (time.monotonic(), 0)

    def follow(self, stop: Callable[[], bool]) -> str:
        """Count until the scan has ended, and return why it has."""
        settings = self._work.microscope
        last_frame = next_display = time.monotonic()
        while True:
            is_closed = self._source.is_closed
            has_come = self._take(self._source.look())
            now = time.monotonic()
            if self._step(is_closed) or has_come:
                last_frame = now
            waiting = now - last_frame
            if now >= next_display:
                next_display = now + settings.display_interval
                self._show(now, waiting)
            if self._done < len(self._counts) and self._pass is not None:
                continue
            if is_closed or (not self._missing() and waiting >= settings.settle_seconds):
                return CLOSED if self._missing() else COMPLETE
            if waiting >= settings.give_up_seconds:
                self._reporter.remark(f"Nothing has come for {waiting:.0f} s: the scan was broken off.")
                return BROKEN_OFF
            if stop():
                self._reporter.remark("The scan was ended from outside.")
                return BROKEN_OFF if self._missing() else COMPLETE
            if self._source.frame_count == len(self._counts):
                time.sleep(LOOK_SECONDS)

    def result(self, plan: Plan) -> Partial | None:
        """Return the sums over the whole scan, if they were counted as the plan says."""
        if not self._sums or self._recipe != plan.recipe or self._is_damaged:
            return None
        if self._done != self._source.frame_count or self._accountant.account() != plan.accounting:
            return None
        return merge_partials(self._events or self._sums)

    def _take(self, frame_count: int) -> bool:
        """Account for the frames that have come; return whether there are any."""
        start = len(self._counts)
        if frame_count == start:
            return False
        taken = self._accountant.take(self._source.slots(start, frame_count))
        self._counts = np.concatenate([self._counts, taken])
        return True

    def _missing(self) -> int:
        return self._accountant.account().missing

    def _step(self, is_closed: bool) -> bool:
        """Process some of the frames that have come; return whether there were any."""
        if self._pass is None and not self._find_center(is_closed):
            return False
        start, stop = self._done, min(self._done + MOST_AT_ONCE, len(self._counts))
        if start == stop or self._pass is None:
            return False
        left_out = (np.flatnonzero(~self._counts[start:stop]) + start).tolist()
        partial, damaged = process_range(self._work, self._source, self._pass, start, stop, left_out)
        self._is_damaged = self._is_damaged or bool(damaged)
        self._done = stop
        if partial is not None:
            if partial.events is not None:
                self._events.append(partial)
            self._sums.append(replace(partial, events=None))
        return True

    def _find_center(self, is_closed: bool) -> bool:
        """Make the pass as soon as the centre is known: when the first row is over."""
        recipe, header = self._work.microscope.recipe, self._source.header
        if recipe.center is None:
            row = header.scan_shape[1] * header.frames_per_position
            if not (is_closed or np.count_nonzero(self._counts) > row) or not self._counts.any():
                return False
            recipe = recipe.model_copy(update={"center": find_scan_center(self._work, self._source, self._counts)})
        self._recipe = recipe
        self._pass = make_pass(self._source, recipe, self._work.microscope.threads)
        return True

    def _show(self, now: float, waiting: float) -> None:
        since, seen = self._shown
        accounting = self._accountant.account()
        self._shown = (now, accounting.seen)
        speed = (accounting.seen - seen) / max(now - since, 1e-3)
        self._reporter.status(ScanStatus(accounting, speed, waiting), self._product(accounting))

    def _product(self, accounting: Accounting) -> Callable[[], ScanProduct] | None:
        recipe = self._recipe
        if not self._sums or recipe is None:
            return None
        if len(self._sums) > 1:
            self._sums = [merge_partials(self._sums)]
        (sums,) = self._sums
        covered = replace(accounting, seen=int(sums.frames.sum()))
        plan = Plan(
            microscope=self._work.microscope.name,
            scan=self._work.record.scan,
            version=self._work.record.version,
            key="",
            code_version="",
            header=self._source.header,
            recipe=recipe,
            accounting=covered,
            batches=(),
        )
        return lambda: make_product(self._work, plan, sums, covered, "")
