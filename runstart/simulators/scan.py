"""Simulates a scan of a crystal with a vacuum edge in an electron microscope, and the truth to check results against.

The truth is written first, then the frames, in the order of the scan, under the file's own name: a reader can follow
it. A scan that breaks off, or is stopped or killed, leaves a file of whole frames without an end.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runstart.errors import Alert
from runstart.simulators._scan_camera import Camera, dead_pixels
from runstart.simulators._scan_crystal import Crystal, make_crystal
from runstart.simulators._scan_electrons import BLOCK, draw_hits, true_events, true_xrays
from runstart.simulators._scan_files import FrameFile, open_frame_file
from runstart.simulators._scan_truth import (
    ScanFacts,
    ScanTruth,
    make_truth,
    plan_storing,
    read_scan_truth,
    scan_truth_path,
    write_scan_truth,
)
from runstart.simulators.pacing import NANOSECONDS_PER_SECOND, Pacer
from runstart.simulators.scan_plan import FrameFormat, ScanPlan, next_scan_number, parse_started

__all__ = [
    "FrameFormat",
    "ScanFacts",
    "ScanPlan",
    "ScanTruth",
    "count_frames",
    "isolated_events",
    "next_scan_number",
    "parse_started",
    "read_scan_truth",
    "scan_truth_path",
    "simulate_scan",
    "true_events",
    "true_xrays",
]

_ALONE = 3  # pixels between two hits from which on they do not touch
_BETWEEN_FLUSHES_S = 0.1


def count_frames(folder: Path, plan: ScanPlan) -> int:
    """Return how many frames a scan will store.

    Raises
    ------
    Alert
        The folder has a scan of that name.
    """
    _check_is_new(folder, plan)
    return len(plan_storing(plan)[0])


def simulate_scan(
    folder: Path,
    plan: ScanPlan,
    *,
    truth_folder: Path | None = None,
    on_frames: Callable[[int], None] | None = None,
    stop: threading.Event | None = None,
) -> ScanTruth:
    """Take a scan.

    Parameters
    ----------
    folder : Path
        Where the file of frames is written; made if it is not there.
    plan : ScanPlan
    truth_folder : Path, optional
        For the truth; by default `.truth` in the folder. `scan_truth_path` tells the file.
    on_frames : callable, optional
        Called now and then with the number of frames stored since the last call.
    stop : threading.Event, optional
        Breaks the scan off.

    Returns
    -------
    ScanTruth
        Of what was planned, even if it was stopped.

    Raises
    ------
    Alert
        The scan is there already, its pattern would leave the frame, or it cannot be written.
    """
    crystal = make_crystal(plan)
    truth = make_truth(plan, crystal)
    _check_is_new(folder, plan)
    write_scan_truth(scan_truth_path(folder, plan, truth_folder), truth)
    with open_frame_file(folder / plan.file_name, plan) as file:
        is_whole = _write_frames(file, plan, crystal, truth, on_frames, stop or threading.Event())
        if is_whole and plan.break_off is None:
            file.finish()
    return truth


def isolated_events(plan: ScanPlan, slot: int) -> NDArray[np.uint32]:
    """Return the electrons of a frame that an exact count finds, just where they are: flat, ascending.

    No other hit and no dead pixel is within two pixels of them.

    Raises
    ------
    ValueError
        If the scan has no such slot.
    """
    columns = plan.frame_shape[1]
    events = true_events(plan, slot)
    others = np.concatenate([events, true_xrays(plan, slot), dead_pixels(plan)])
    row, column = np.divmod(events.astype(np.int64)[:, None], columns)
    other_row, other_column = np.divmod(others.astype(np.int64), columns)
    is_near = np.maximum(np.abs(row - other_row), np.abs(column - other_column)) < _ALONE
    alone: NDArray[np.uint32] = events[is_near.sum(axis=1) == 1]
    return alone


def _check_is_new(folder: Path, plan: ScanPlan) -> None:
    for form in FrameFormat:
        path = folder / f"{plan.name}{form.suffix}"
        if path.exists():
            raise Alert(f"There is a file {path} already.", "Choose another number, or remove it.")


def _write_frames(
    file: FrameFile,
    plan: ScanPlan,
    crystal: Crystal,
    truth: ScanTruth,
    on_frames: Callable[[int], None] | None,
    stop: threading.Event,
) -> bool:
    """Write frames when they are due; return whether all were."""
    times = np.bincount(truth.stored_slots, minlength=plan.slots)
    last = int(truth.stored_slots.max(initial=-1))
    between = max(1, int(plan.rate * _BETWEEN_FLUSHES_S)) if plan.rate else BLOCK
    pacer = Pacer(1.0 if plan.rate else None, stop)
    new = 0

    def show() -> None:
        nonlocal new
        file.flush()
        if on_frames is not None and new:
            on_frames(new)
        new = 0

    for slot, frame in _frames(plan, crystal, last + 1):
        if slot % between == 0:
            show()
            if not pacer.wait(round(slot / plan.rate * NANOSECONDS_PER_SECOND) if plan.rate else 0):
                return False
        for _ in range(times[slot]):
            file.append(slot, frame)
        new += int(times[slot])
    show()
    return True


def _frames(plan: ScanPlan, crystal: Crystal, n_slots: int) -> Iterator[tuple[int, NDArray[Any]]]:
    """Yield the first slots with their pixels, or in batches with the events that a perfect counter finds."""
    camera = Camera(plan)
    dead = dead_pixels(plan)
    for block in range(-(-n_slots // BLOCK)):
        hits = draw_hits(plan, crystal, block)
        slots = range(block * BLOCK, n_slots)  # those of the block, and the others that follow
        if plan.format is FrameFormat.BATCHES:
            yield from zip(slots, hits.seen_events(dead), strict=False)
        else:
            yield from zip(slots, camera.take_frames(hits, block), strict=False)
