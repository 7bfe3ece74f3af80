"""Files of frames as messages: batches of whole scan positions in their order, each read when it is asked for.

Frames that belong to no position, and those that are there a second time, are left out. A batch ends before the position
that would reach the size; a position with more comes alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from runstart.frame_files import FrameSource, open_frames
from runstart.frame_messages.batches import Batch, ScanInfo, batch_message
from runstart.frames import DenseFrames, Frames, SparseFrames
from runstart.operators import BytesMessage

MEGABYTE = 1_000_000
_PER_FRAME = 16  # bytes that a source counts for a sparse frame besides its events


def read_batches(source: FrameSource, batch_bytes: int, scan_number: int) -> Iterator[Batch]:
    """Yield the frames of a file in batches.

    Parameters
    ----------
    source : FrameSource
        The open file.
    batch_bytes : int
        The size that the frames of a batch stay below.
    scan_number : int
        The number that the scan gets.

    Raises
    ------
    Alert
        If the file is damaged.
    """
    header, slots = source.header, source.slots(0, source.frame_count)
    sizes = source.sizes(0, source.frame_count) - (_PER_FRAME if header.is_sparse else 0)
    order = _order(slots)
    positions = slots[order] // header.frames_per_position
    bounds = _bounds(positions, sizes[order], batch_bytes)
    scan = ScanInfo(scan_number, header.scan_shape, header.frame_shape, len(order))
    for index, (first, last) in enumerate(pairwise(bounds)):
        chosen = order[first:last]
        frames = _read(source, chosen)
        is_sound = frames.positions >= 0
        if is_sound.any():
            frames = frames if is_sound.all() else _select(frames, np.flatnonzero(is_sound))
            yield Batch(scan, frames, slots[chosen][is_sound], index, len(bounds) - 1)


def read_messages(path: Path, batch_bytes: int, scan_number: int) -> Iterator[BytesMessage]:
    """Yield the batches of a file as messages; it is open until the last was asked for.

    Parameters
    ----------
    path : Path
        Any file of frames (`runstart.frame_files.KINDS`).
    batch_bytes, scan_number
        As of `read_batches`.

    Raises
    ------
    Alert
        If it is not there, no file of frames, or damaged.
    """
    with open_frames(path) as source:
        for batch in read_batches(source, batch_bytes, scan_number):
            yield batch_message(batch)


class RepeatedReader:
    """Reads a file of frames batch by batch, again and again; each reading is a scan of its own.

    Scans are numbered from 1; another file begins with 1 again.
    """

    def __init__(self) -> None:
        self._path: Path | None = None
        self._number = 0
        self._open: Iterator[Batch] | None = None
        self._cached: tuple[tuple[Path, int, int, int], list[Batch]] | None = None

    def next(self, path: Path, batch_bytes: int, *, cache: bool) -> BytesMessage | None:
        """Return the next batch; None, once, at the end of the file.

        Parameters
        ----------
        path : Path
            The file. While one is being read, another has to wait for its end.
        batch_bytes : int
            The size that the frames of a batch stay below.
        cache : bool
            Whether the file is kept in memory to be sent again; if it has changed, it is read anew.

        Raises
        ------
        Alert
            If it is not there, no file of frames, or damaged.
        """
        if self._open is None:
            self._open = self._begin(path, batch_bytes, cache)
        try:
            batch = next(self._open, None)
        except BaseException:
            self._open = None
            raise
        if batch is None:
            self._open = None
            return None
        return batch_message(batch)

    def _begin(self, path: Path, batch_bytes: int, cache: bool) -> Iterator[Batch]:
        self._number = self._number + 1 if path == self._path else 1
        self._path = path
        if not cache:
            self._cached = None
            return self._read(path, batch_bytes)
        return self._replay(path, batch_bytes)

    def _read(self, path: Path, batch_bytes: int) -> Iterator[Batch]:
        with open_frames(path) as source:
            yield from read_batches(source, batch_bytes, self._number)

    def _replay(self, path: Path, batch_bytes: int) -> Iterator[Batch]:
        """Yield what is kept of a file, or read it and keep it."""
        number = self._number
        key = _identity(path, batch_bytes)
        if self._cached is None or self._cached[0] != key:
            self._cached = None
            batches = []
            for batch in self._read(path, batch_bytes):
                batches.append(batch)
                yield batch
            self._cached = (key, batches)
            return
        for batch in self._cached[1]:
            yield replace(batch, scan=batch.scan._replace(scan_number=number))


def _identity(path: Path, batch_bytes: int) -> tuple[Path, int, int, int]:
    """Return what changes when a file does; of one that is not there, opening it tells."""
    if not path.exists():
        return path, 0, 0, batch_bytes
    found = path.stat()
    return path, found.st_mtime_ns, found.st_size, batch_bytes


def _order(slots: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the indices of frames by position, the first of each slot."""
    placed = np.flatnonzero(slots >= 0)
    _, first = np.unique(slots[placed], return_index=True)
    return placed[first].astype(np.int64)


def _bounds(positions: NDArray[np.int64], sizes: NDArray[np.int64], batch_bytes: int) -> list[int]:
    """Return where batches begin, and the end of the last."""
    ends_of = np.append(np.flatnonzero(np.diff(positions)) + 1, len(positions)) if len(positions) else positions
    totals = np.cumsum(sizes)[ends_of - 1] if len(ends_of) else ends_of
    bounds, done, taken = [0], 0, 0
    while done < len(ends_of):
        done = max(int(np.searchsorted(totals, taken + batch_bytes, "left")), done + 1)
        taken = int(totals[done - 1])
        bounds.append(int(ends_of[done - 1]))
    return bounds


def _read(source: FrameSource, chosen: NDArray[np.int64]) -> Frames:
    """Return frames by their indices; those that follow each other are read at once."""
    gaps = np.flatnonzero(np.diff(chosen) != 1) + 1
    parts = [source.read(int(run[0]), int(run[-1]) + 1) for run in np.split(chosen, gaps)]
    if len(parts) == 1:
        return parts[0]
    positions = np.concatenate([part.positions for part in parts])
    dense = [part.pixels for part in parts if isinstance(part, DenseFrames)]
    if dense:
        return DenseFrames(positions, np.concatenate(dense))
    sparse = [part for part in parts if isinstance(part, SparseFrames)]
    lengths = np.concatenate([np.diff(part.starts) for part in sparse])
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    events = np.concatenate([part.events[part.starts[0] : part.starts[-1]] for part in sparse])
    return SparseFrames(positions, starts, events, source.header.frame_shape)


def _select(frames: Frames, which: NDArray[np.int64]) -> Frames:
    """Return some of the frames."""
    if isinstance(frames, DenseFrames):
        return DenseFrames(frames.positions[which], frames.pixels[which])
    lists = [frames.frame(index) for index in which.tolist()]
    starts = np.cumsum([0, *map(len, lists)], dtype=np.int64)
    return SparseFrames(frames.positions[which], starts, np.concatenate(lists), frames.frame_shape)
