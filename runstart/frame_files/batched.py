"""Files of batches (`.batches`): the messages of a detector stream, one behind the other.

Behind the 8 bytes `RSBATCH1` each batch has the length of its header (uint32) and of its data (uint64), little-endian, the
header and the data, as `encode_batch` makes them. A header of length 0 ends the file; in place of the length of data it
has the number of frames. So a file is appended to and never changed, and a reader sees whole batches only.
"""

from __future__ import annotations

import itertools
import math
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from runstart.errors import Alert
from runstart.frame_files._limits import check_header, check_range, positions_of, refused, without_events
from runstart.frame_files.batch import (
    EVENT,
    LONGEST_META,
    BatchedFrameHeader,
    SlotNumbers,
    encode_batch,
    parse_meta,
)
from runstart.frame_files.blob import Blob
from runstart.frame_files.source import NO_SLOT, FrameSource, ScanHeader
from runstart.frames import DenseFrames, Frames, SparseFrames

__all__ = ["MAGIC", "BatchWriter", "open_batches"]

MAGIC = b"RSBATCH1"
_RECORD = np.dtype([("meta", "<u4"), ("data", "<u8")])
_AHEAD = 2**16  # bytes that are read with a record, for its header
_PER_FRAME = 16  # bytes in memory, besides its events: position and start


def open_batches(blob: Blob) -> FrameSource:
    """Return the frames of a file of batches, which owns the blob from now on.

    A frame's slot is its `frame_number`, if that belongs to its position when `total_frames` is spread evenly over the
    scan; else frames of one position are numbered as they come, and those above the number that each position should
    have share the last slot. Without `total_frames` each position should have one.

    Parameters
    ----------
    blob : Blob
        A file that has at least one batch.

    Raises
    ------
    Alert
        If it is none, a header cannot be, or batches are of different scans.
    """
    return _BatchSource(blob)


class BatchWriter:
    """A new file of batches; the same batches give the same bytes. As a context manager it closes itself.

    Parameters
    ----------
    path : Path
        The file, which must not exist.

    Raises
    ------
    Alert
        If there is such a file, or it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._file = Path(path).open("xb")  # noqa: SIM115 - closed by close
        except FileExistsError:
            raise Alert(f"There is a file {path} already.", "Choose another name, or remove it.") from None
        except OSError as error:
            raise Alert(f"{path} cannot be written: {error.strerror}.", "Choose another folder.") from error
        self._count = 0
        self._file.write(MAGIC)

    def write(self, header: BatchedFrameHeader, frames: Frames) -> None:
        """Write a batch.

        Raises
        ------
        ValueError
            If the frames are not those of the header.
        """
        meta, data = encode_batch(header, frames)
        self._file.write(np.array((len(meta), len(data)), _RECORD).tobytes() + meta)
        self._file.write(data)
        self._count += len(header.headers)

    def flush(self) -> None:
        """Let readers see all that was written."""
        self._file.flush()

    def close(self) -> None:
        """Write that no batch follows, and close the file."""
        if not self._file.closed:
            self._file.write(np.array((0, self._count), _RECORD).tobytes())
            self._file.close()

    def abandon(self) -> None:
        """Close the file as it is, as if its writer had been killed."""
        self._file.close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file; abandon it after an error."""
        if kind is None:
            self.close()
        else:
            self.abandon()


class _BatchSource(FrameSource):
    """The frames of a file of batches; one with an event outside the frame is read without events, position -1."""

    def __init__(self, blob: Blob) -> None:
        self._blob = blob
        if blob.read(0, len(MAGIC)) != MAGIC:
            raise refused(blob.name, f"does not begin with {MAGIC.decode()!r}", "Give a .batches file.")
        self._next = len(MAGIC)
        self._is_ended = False
        self._first: BatchedFrameHeader | None = None
        self._numbers = SlotNumbers(1)  # until the first batch is seen
        self._slots = np.zeros(0, np.int64)
        self._offsets = np.zeros(0, np.int64)
        self._bytes = np.zeros(0, np.int64)
        self._damaged: set[int] = set()
        self._lock = threading.Lock()
        self.look()

    @property
    def damaged(self) -> int:
        with self._lock:
            return len(self._damaged)

    @property
    def frame_count(self) -> int:
        return len(self._slots)

    @property
    def is_closed(self) -> bool:
        return self._is_ended

    def look(self) -> int:
        size = self._blob.size()
        if size < self._next:
            raise refused(self._blob.name, f"has {size} bytes, and had {self._next}", "Copy it again.")
        slots, offsets, lengths = [self._slots], [self._offsets], [self._bytes]
        while not self._is_ended and (found := self._batch_at(self._next, size)) is not None:
            header, offset = found
            self._next = offset + header.batch_size_bytes
            slots.append(self._numbers.take(header))
            offsets.append(offset + np.array(header.ends[:-1], np.int64))
            lengths.append(np.array([one.data_size_bytes for one in header.headers], np.int64))
        # The slots come last, because their number is that of the frames that may be read.
        self._offsets, self._bytes, self._slots = map(np.concatenate, (offsets, lengths, slots))
        if self._first is None:
            raise refused(self._blob.name, "holds no whole batch", "Wait until it is written.")
        if self._is_ended and size > self._next:
            raise refused(self._blob.name, f"has {size - self._next} bytes behind its end")
        return len(self._slots)

    def slots(self, start: int, stop: int) -> NDArray[np.int64]:
        check_range(start, stop, len(self._slots))
        return self._slots[start:stop].copy()

    def sizes(self, start: int, stop: int) -> NDArray[np.int64]:
        check_range(start, stop, len(self._slots))
        return self._bytes[start:stop] + (_PER_FRAME if self.header.is_sparse else 0)

    def read(self, start: int, stop: int) -> Frames:
        check_range(start, stop, len(self._slots))
        lengths, slots = self._bytes[start:stop], self._slots[start:stop].copy()
        starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        data = self._data(start, stop, starts)
        if not self.header.is_sparse:
            pixels = data.view(np.dtype(self.header.dtype).newbyteorder("<")).astype(self.header.dtype, copy=False)
            positions = positions_of(slots, self.header.frames_per_position)
            return DenseFrames(positions, pixels.reshape(-1, *self.header.frame_shape))
        events = data.view(EVENT).astype(np.uint32, copy=False)
        return self._sound(start, slots, starts // EVENT.itemsize, events)

    def close(self) -> None:
        self._blob.close()

    def _batch_at(self, offset: int, size: int) -> tuple[BatchedFrameHeader, int] | None:
        """Return the header of a whole batch, and where its data begin; None if there is none."""
        begin = self._blob.read(offset, _RECORD.itemsize + _AHEAD)
        if len(begin) < _RECORD.itemsize:
            return None
        record = np.frombuffer(begin, _RECORD, 1)[0]
        meta_length, data_length = int(record["meta"]), int(record["data"])
        name = f"{self._blob.name}, batch at byte {offset}"
        if not meta_length:
            self._end(offset, data_length)
            return None
        if meta_length > LONGEST_META:
            raise refused(name, f"claims a header of {meta_length} bytes; the longest has {LONGEST_META}")
        data_offset = offset + _RECORD.itemsize + meta_length
        if data_offset > size:
            return None
        meta = begin[_RECORD.itemsize :][:meta_length]
        if len(meta) < meta_length:
            meta = self._blob.read(offset + _RECORD.itemsize, meta_length)
        header = parse_meta(meta, name)
        if header.batch_size_bytes != data_length:
            raise refused(name, f"claims {data_length} bytes of data, and {header.batch_size_bytes} in its header")
        self._check_scan(header, name)
        return (header, data_offset) if data_offset + data_length <= size else None

    def _end(self, offset: int, count: int) -> None:
        known = self._numbers.total
        if count != known:
            raise refused(self._blob.name, f"says at its end that it holds {count} frames, but holds {known}")
        self._is_ended, self._next = True, offset + _RECORD.itemsize

    def _check_scan(self, header: BatchedFrameHeader, name: str) -> None:
        """Take the scan from the first batch; refuse one of another scan."""
        one = header.headers[0]
        if self._first is None:
            each = header.frames_per_position
            dtype = "sparse" if one.dtype == "uint32" else one.dtype
            self.header = check_header(
                ScanHeader(one.scan_shape, one.frame_shape, dtype, each, scan=str(header.scan_number)),
                name,
            )
            self._numbers = SlotNumbers(each)
            self._first = header
        first = self._first.headers[0]
        for field in ("scan_number", "scan_shape", "frame_shape", "dtype"):
            if getattr(one, field) != getattr(first, field):
                what = f"has the {field} {getattr(one, field)}; the batches before have {getattr(first, field)}"
                raise refused(name, what, "Write each scan into a file of its own.")

    def _data(self, start: int, stop: int, starts: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return the bytes of frames, one behind the other: those of one batch are read at once."""
        data = np.empty(int(starts[-1]), np.uint8)
        view, offsets, lengths = data.data, self._offsets[start:stop], self._bytes[start:stop]
        gaps = np.flatnonzero(offsets[1:] != offsets[:-1] + lengths[:-1]) + 1
        bounds = [0, *gaps.tolist(), stop - start] if stop > start else []
        for first, last in itertools.pairwise(bounds):
            part = view[int(starts[first]) : int(starts[last])]
            if self._blob.read_into(int(offsets[first]), part) < len(part):
                what = f"ends within frame {start + first} or one of the {last - first - 1} behind it"
                raise refused(self._blob.name, f"{what}, which were there before", "Copy it again.")
        return data

    def _sound(
        self, start: int, slots: NDArray[np.int64], starts: NDArray[np.int64], events: NDArray[Any]
    ) -> SparseFrames:
        """Return frames; those with an event outside the frame without events and position."""
        is_outside = events >= math.prod(self.header.frame_shape)
        if is_outside.any():
            frames = np.unique(np.searchsorted(starts, np.flatnonzero(is_outside), "right") - 1)
            slots[frames] = NO_SLOT
            starts, events = without_events(starts, events, frames)
            with self._lock:
                self._damaged.update((start + frames).tolist())
        positions = positions_of(slots, self.header.frames_per_position)
        return SparseFrames(positions, starts, events, self.header.frame_shape)
