"""Counted frames in HDF5, in the layout that stempy reads and writes.

Group `electron_events` with the attribute `version` (3; also at the root, where stempy looks for it). Its dataset
`scan_positions` has the positions, with the attributes `Nx` (columns) and `Ny` (rows) of the scan. Its dataset `frames`
has lists of uint32, frames of one position side by side, with the attributes `Nx` (rows) and `Ny` (columns) of a frame.
There a frame that is missing is an empty list, like one without electrons; so ours has a dataset more, `recorded`, which
tells them apart and which others do not read.
"""

from __future__ import annotations

import math
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from runstart.errors import Alert
from runstart.frame_files._global_heap import REFERENCE, read_lists
from runstart.frame_files._limits import check_header, check_range, positions_of, refused, without_events
from runstart.frame_files.source import NO_SLOT, FrameSource, ScanHeader
from runstart.frames import Shape, SparseFrames

if TYPE_CHECKING:
    from runstart.frame_files._hdf5_access import Hdf5File

__all__ = ["VERSION", "CountedSource", "is_counted", "write_counted"]

VERSION = 3
_GROUP = "electron_events"
_AT_ONCE = 2**14  # frames
_PER_FRAME = 16  # bytes in memory, besides its events: position and start


def write_counted(
    target: Path | BinaryIO,
    events: SparseFrames,
    scan_shape: Shape,
    frame_shape: Shape,
    frames_per_position: int = 1,
) -> None:
    """Write counted frames; the same frames give the same bytes.

    Parameters
    ----------
    target : Path or binary file
        A new file, or one that is open for writing and reading, and empty.
    events : SparseFrames
        In any order; frames of one position in the order of their numbers.
    scan_shape, frame_shape : tuple of int
        Rows and columns of the scan, and of a frame.
    frames_per_position : int, optional
        Frames that were to be taken at each position.

    Raises
    ------
    Alert
        If the file cannot be written.
    ValueError
        If a frame lies outside the scan, an event outside the frame, or a position has too many frames.
    """
    rows, order = _rows_of(events, math.prod(scan_shape), frames_per_position, frame_shape)
    try:
        if not isinstance(target, Path):
            _write(target, events, scan_shape, frame_shape, frames_per_position, rows, order)
            return
        # HDF5 lays a file out otherwise when it opens it by itself.
        with target.open("w+b") as file:
            _write(file, events, scan_shape, frame_shape, frames_per_position, rows, order)
    except OSError as error:
        raise Alert(f"{target} cannot be written: {error}.", "Choose another folder.") from error


def is_counted(root: Any) -> bool:
    """Tell whether an open HDF5 file holds counted frames."""
    return f"{_GROUP}/frames" in root and f"{_GROUP}/scan_positions" in root


class CountedSource(FrameSource):
    """The frames that were recorded, in the order of the file.

    Parameters
    ----------
    file : Hdf5File
        The open file, which this owns from now on.

    Raises
    ------
    Alert
        If it is none of the layout, or damaged.
    """

    def __init__(self, file: Hdf5File) -> None:
        self._file, self._lock = file, threading.Lock()
        self._frames = file.dataset(f"{_GROUP}/frames")
        placed = file.dataset(f"{_GROUP}/scan_positions")
        scan_shape = _attribute_shape(placed, ("Ny", "Nx"), file.name)
        frame_shape = _attribute_shape(self._frames, ("Nx", "Ny"), file.name)
        if self._frames.ndim != 1 or placed.ndim != 1 or not _are_lists(self._frames.dtype):
            raise refused(file.name, f"has {_GROUP}/frames that are no lists of events (of at most 32 bits)")
        positions = math.prod(scan_shape)
        check_header(ScanHeader(scan_shape, frame_shape, "sparse"), file.name)
        version = int(file.root[_GROUP].attrs.get("version", file.root.attrs.get("version", 1)))
        slots, each = _slots_of(len(self._frames), placed, positions, version, file.name)
        self.header = check_header(ScanHeader(scan_shape, frame_shape, "sparse", each), file.name)
        self._rows = _recorded(file.root[_GROUP], len(self._frames))
        self._slots = slots[self._rows]
        self._references = _references(file, self._frames)
        self._lengths = None if self._references is None else self._references["length"].astype(np.int64)
        self._damaged: set[int] = set()

    @property
    def damaged(self) -> int:
        """Frames with events outside the frame, as far as they were read; they are read without events."""
        with self._lock:
            return len(self._damaged)

    @property
    def frame_count(self) -> int:
        """Frames that were recorded."""
        return len(self._rows)

    @property
    def is_closed(self) -> bool:
        """Always: the file is written at once."""
        return True

    def look(self) -> int:
        """Return the number of frames."""
        return len(self._rows)

    def slots(self, start: int, stop: int) -> NDArray[np.int64]:  # noqa: D102 - as the base class says
        check_range(start, stop, len(self._rows))
        return self._slots[start:stop].copy()

    def sizes(self, start: int, stop: int) -> NDArray[np.int64]:  # noqa: D102
        check_range(start, stop, len(self._rows))
        with self._lock:
            if self._lengths is None:
                with self._file.told():
                    self._lengths = _read_lengths(self._frames)
            return self._lengths[self._rows[start:stop]] * 4 + _PER_FRAME

    def read(self, start: int, stop: int) -> SparseFrames:  # noqa: D102
        check_range(start, stop, len(self._rows))
        rows, slots = self._rows[start:stop], self._slots[start:stop].copy()
        if self._references is not None:
            starts, events = read_lists(self._file.blob, self._references[rows])
        else:
            starts, events = self._read_by_library(rows)
        outside = np.flatnonzero(events >= math.prod(self.header.frame_shape))
        if len(outside):
            damaged = np.unique(np.searchsorted(starts, outside, "right") - 1)
            starts, events = without_events(starts, events, damaged)
            slots[damaged] = NO_SLOT
            with self._lock:
                self._damaged.update((start + damaged).tolist())
        positions = positions_of(slots, self.header.frames_per_position)
        return SparseFrames(positions, starts, events, self.header.frame_shape)

    def close(self) -> None:
        """Let the file go."""
        self._file.close()

    def _read_by_library(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
        if not len(rows):
            return np.zeros(1, np.int64), np.zeros(0, np.uint32)
        with self._file.told():
            lists = self._frames[int(rows[0]) : int(rows[-1]) + 1]
        found = [np.asarray(lists[row], np.uint32) for row in (rows - rows[0]).tolist()]
        return np.cumsum([0, *map(len, found)], dtype=np.int64), np.concatenate(found)


def _rows_of(
    events: SparseFrames, positions: int, each: int, frame_shape: Shape
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows of the file that have frames, ascending, and the index of each one's frame."""
    if len(events) and not 0 <= events.positions.min() <= events.positions.max() < positions:
        raise ValueError(f"a frame outside the {positions} positions of the scan")
    if events.events.size and events.events.max() >= math.prod(frame_shape):
        raise ValueError(f"an event outside the frame of {frame_shape}")
    order = np.argsort(events.positions, kind="stable")
    placed = events.positions[order]
    numbers = np.arange(len(placed)) - np.searchsorted(placed, placed)
    if numbers.size and numbers.max() >= each:
        raise ValueError(f"{numbers.max() + 1} frames at one position, which was to have {each}")
    return placed * each + numbers, order


def _write(
    target: BinaryIO,
    events: SparseFrames,
    scan_shape: Shape,
    frame_shape: Shape,
    each: int,
    rows: NDArray[np.int64],
    order: NDArray[np.int64],
) -> None:
    import h5py

    positions = math.prod(scan_shape)
    recorded = np.zeros(positions * each, np.uint8)
    recorded[rows] = 1
    with h5py.File(target, "w", libver=("earliest", "v108")) as file:
        file.attrs["version"] = VERSION
        group = file.create_group(_GROUP)
        group.attrs["version"] = VERSION
        placed = group.create_dataset("scan_positions", data=np.arange(positions), track_times=False)
        placed.attrs["Nx"], placed.attrs["Ny"] = scan_shape[1], scan_shape[0]
        group.create_dataset("recorded", data=recorded, track_times=False)
        lists = h5py.vlen_dtype(np.uint32)
        frames = group.create_dataset("frames", (len(recorded),), dtype=lists, track_times=False)
        frames.attrs["Nx"], frames.attrs["Ny"] = frame_shape
        for start in range(0, len(rows), _AT_ONCE):
            _write_lists(frames, rows[start : start + _AT_ONCE], order[start : start + _AT_ONCE], events)
        file.create_group("metadata")


def _write_lists(frames: Any, rows: NDArray[np.int64], order: NDArray[np.int64], events: SparseFrames) -> None:
    """Write the lists of some rows, and empty ones between them."""
    from h5py import h5s

    first, count = int(rows[0]), int(rows[-1] - rows[0]) + 1
    lists = np.empty(count, frames.dtype)
    for row in range(count):
        lists[row] = np.zeros(0, np.uint32)
    for row, index in zip((rows - first).tolist(), order.tolist(), strict=True):
        lists[row] = events.frame(index)
    place = frames.id.get_space()
    place.select_hyperslab((first,), (count,))
    # Not by `frames[...] =`, which takes lists of one length for an array of two dimensions.
    frames.id.write(h5s.create_simple((count,)), place, lists)


def _are_lists(dtype: np.dtype[Any]) -> bool:
    from h5py import check_vlen_dtype

    kind = check_vlen_dtype(dtype)
    return isinstance(kind, np.dtype) and kind.kind in "iu" and kind.itemsize <= 4


def _attribute_shape(dataset: Any, names: tuple[str, str], name: str) -> Shape:
    values = [dataset.attrs.get(attribute) for attribute in names]
    if any(value is None or np.ndim(value) or not 1 <= int(value) < 2**31 for value in values):
        raise refused(name, f"says no size for {dataset.name} (attributes Nx and Ny: {values})")
    return int(values[0]), int(values[1])


def _slots_of(count: int, placed: Any, positions: int, version: int, name: str) -> tuple[NDArray[np.int64], int]:
    """Return the slot of each row of the file, and the frames of a position."""
    if version >= VERSION:
        each, left = divmod(count, positions)
        if left or not each:
            raise refused(name, f"has {count} frames, which does not fit its scan of {positions} positions")
        return np.arange(count, dtype=np.int64), each
    if len(placed) != count:
        raise refused(name, f"has {count} frames, but {len(placed)} positions")
    found = placed[:].astype(np.int64)
    found[(found < 0) | (found >= positions)] = NO_SLOT
    order = np.argsort(found, kind="stable")
    numbers = np.empty(count, np.int64)
    numbers[order] = np.arange(count) - np.searchsorted(found[order], found[order])
    each = int(numbers[found >= 0].max(initial=0)) + 1
    return np.where(found < 0, NO_SLOT, found * each + numbers), each


def _recorded(group: Any, count: int) -> NDArray[np.int64]:
    """Return the rows that were recorded: all, if the file does not say."""
    from runstart.frame_files._hdf5_access import is_dataset

    recorded = group.get("recorded")
    if not is_dataset(recorded) or recorded.shape != (count,):
        return np.arange(count, dtype=np.int64)
    return np.flatnonzero(recorded[:]).astype(np.int64)


def _references(file: Hdf5File, frames: Any) -> NDArray[np.void] | None:
    """Return where each list of events lies; None if only the library can tell."""
    from h5py import check_vlen_dtype

    is_plain = frames.chunks is None and not frames.is_virtual and not frames.external
    is_here = frames.file.filename == file.root.filename and not file.root.userblock_size
    offset = frames.id.get_offset() if is_plain and is_here else None
    length = len(frames) * REFERENCE.itemsize
    if (
        offset is None
        or frames.id.get_storage_size() != length
        or check_vlen_dtype(frames.dtype) != np.dtype("<u4")
    ):
        return None
    data, size = file.blob.read(offset, length), file.blob.size()
    references = np.frombuffer(data[: len(data) // REFERENCE.itemsize * REFERENCE.itemsize], REFERENCE)
    claimed = int(references["length"].sum(dtype=np.int64))
    if len(references) < len(frames) or claimed * 4 > size:
        what = f"claims {claimed} events in {len(frames)} frames, but has {size} bytes"
        raise refused(file.name, what, "Copy it again.")
    return references


def _read_lengths(frames: Any) -> NDArray[np.int64]:
    found = [
        [len(events) for events in frames[start : start + _AT_ONCE]] for start in range(0, len(frames), _AT_ONCE)
    ]
    return np.array([length for part in found for length in part], np.int64)
