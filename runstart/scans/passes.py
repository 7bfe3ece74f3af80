"""Passes over the frames of a scan, a few tens of megabytes at a time, reading ahead while the last ones are processed."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runstart.frame_files import NO_SLOT, FrameSource, split_into_batches
from runstart.frames import (
    DenseFrames,
    FramePass,
    Frames,
    Partial,
    Recipe,
    SparseFrames,
    crop_mask,
    detector_masks,
    find_center,
    merge_partials,
)
from runstart.frames.model import MISSING_POSITION, Shape
from runstart.scans.work import ScanWork

CHUNK_BYTES = 64 * 2**20
_MERGED_AT_ONCE = 16


def analysed_shape(frame_shape: Shape, recipe: Recipe) -> Shape:
    """Return the shape of frames after binning."""
    return frame_shape[0] // recipe.bin_by, frame_shape[1] // recipe.bin_by


def make_pass(source: FrameSource, recipe: Recipe, threads: int) -> FramePass:
    """Return the pass that computes what a recipe with a centre asks for.

    Raises
    ------
    ValueError
        If the recipe has no centre.
    """
    if recipe.center is None:
        raise ValueError("the recipe has no centre")
    header = source.header
    shape = analysed_shape(header.frame_shape, recipe)
    return FramePass(
        header.frame_shape,
        header.dtype,
        counting=None if header.is_sparse else recipe.counting,
        bin_by=recipe.bin_by,
        crop=None if recipe.crop is None else crop_mask(recipe.crop, recipe.center, shape),
        masks=detector_masks(recipe.detectors, recipe.center, shape) if recipe.detectors else None,
        keep_events=header.is_sparse or recipe.counting is not None,
        threads=threads,
    )


def process_range(
    work: ScanWork,
    source: FrameSource,
    frame_pass: FramePass,
    start: int,
    stop: int,
    left_out: Collection[int] = (),
) -> tuple[Partial | None, list[int]]:
    """Return the sums over some stored frames, and the indices of those that are damaged.

    Parameters
    ----------
    work : ScanWork
        The scan.
    source : FrameSource
        Its file.
    frame_pass : FramePass
        What is computed.
    start, stop : int
        The frames.
    left_out : collection of int
        Indices of those between that do not count.

    Returns
    -------
    Partial or None
        None if no frame counts.
    list of int
        Indices of damaged frames, which are not in the sums.
    """
    shifts = work.shifts(source.header.scan_shape)
    partials: list[Partial] = []
    damaged: list[int] = []
    counts = np.ones(stop - start, np.bool_)
    counts[np.array(sorted(left_out), np.int64) - start] = False
    for first, frames in _read_ahead(source, start, counts):
        indices = np.arange(first, first + len(frames))
        wanted = counts[indices - start]
        bad = wanted & (frames.positions == MISSING_POSITION)
        damaged += indices[bad].tolist()
        if not (wanted & ~bad).any():
            continue
        counted = mark(frames, wanted)
        partials.append(frame_pass.process(counted, None if shifts is None else shifts[counted.positions]))
        if len(partials) >= _MERGED_AT_ONCE:
            partials = [merge_partials(partials)]
    return (merge_partials(partials) if partials else None), damaged


def mark(frames: Frames, wanted: NDArray[np.bool_]) -> Frames:
    """Return frames of which only the wanted ones count."""
    if wanted.all():
        return frames
    positions = np.where(wanted, frames.positions, MISSING_POSITION)
    if isinstance(frames, DenseFrames):
        return DenseFrames(positions, frames.pixels)
    return SparseFrames(positions, frames.starts, frames.events, frames.frame_shape)


def find_scan_center(work: ScanWork, source: FrameSource, counts: NDArray[np.bool_]) -> tuple[float, float]:
    """Return where the beam is: the centre of mass of the summed frames of the first row of the scan.

    Without any frame there, of as many of the first frames as a row has; without any electron, the middle of the frame.

    Parameters
    ----------
    work : ScanWork
        The scan.
    source : FrameSource
        Its file.
    counts : ndarray of bool, shape (n,)
        Which stored frames count.
    """
    header, recipe = source.header, work.microscope.recipe
    row = header.scan_shape[1] * header.frames_per_position
    slots = source.slots(0, len(counts))
    chosen = np.flatnonzero(counts & (slots < row) & (slots != NO_SLOT))
    if not len(chosen):
        chosen = np.flatnonzero(counts)[:row]
    frame_pass = FramePass(
        header.frame_shape,
        header.dtype,
        counting=None if header.is_sparse else recipe.counting,
        bin_by=recipe.bin_by,
        center_of_mass=False,
        threads=work.microscope.threads,
    )
    first, last = int(chosen[0]), int(chosen[-1]) + 1
    left_out = np.setdiff1d(np.arange(first, last), chosen)
    partial, _ = process_range(work, source, frame_pass, first, last, left_out.tolist())
    shape = analysed_shape(header.frame_shape, recipe)
    pattern = None if partial is None or partial.pattern is None else _without_flaws(partial.pattern)
    if pattern is None or not pattern.any():
        work.tell("The first row of the scan shows no beam: detectors lie around the middle of the frame.")
        return (shape[0] - 1) / 2, (shape[1] - 1) / 2
    return find_center(pattern)


def _without_flaws(pattern: NDArray[Any]) -> NDArray[Any]:
    """Return a pattern in which pixels that are dead (NaN) or below the background have no weight."""
    if pattern.dtype.kind != "f":
        return pattern
    return np.where(np.isfinite(pattern) & (pattern > 0), pattern, 0.0)


def _read_ahead(source: FrameSource, start: int, counts: NDArray[np.bool_]) -> Iterator[tuple[int, Frames]]:
    """Yield the index of the first frame, and frames, in chunks that have some that count; the next is read meanwhile."""
    sizes = source.sizes(start, start + len(counts))
    chunks = split_into_batches(sizes, CHUNK_BYTES, start, source.piece)
    ranges = [(a, b) for a, b in chunks if counts[a - start : b - start].any()]
    with ThreadPoolExecutor(1, "frames") as reader:
        ahead = [reader.submit(source.read, *one) for one in ranges[:1]]
        for number, (first, _) in enumerate(ranges):
            frames = ahead.pop().result()
            if number + 1 < len(ranges):
                ahead.append(reader.submit(source.read, *ranges[number + 1]))
            yield first, frames
