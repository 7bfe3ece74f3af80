"""Frames of one size at equal distances in a file, whatever the format: read straight into one array."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runstart.frame_files._limits import check_range, kept_dtype, positions_of, refused
from runstart.frame_files.blob import Blob
from runstart.frame_files.source import FrameSource, ScanHeader
from runstart.frames import DenseFrames, Shape

_JUNK = 2**16


@dataclass(frozen=True)
class Layout:
    """Where the frames of a file lie.

    Attributes
    ----------
    start : int
        Offset of the first frame, in bytes.
    frame_shape : tuple of int
        Rows and columns of a frame.
    dtype : dtype
        Of the stored pixels, with their byte order.
    lead, tail : int
        Bytes before and behind the pixels of each frame.
    """

    start: int
    frame_shape: Shape
    dtype: np.dtype[Any]
    lead: int = 0
    tail: int = 0

    @property
    def pixel_bytes(self) -> int:
        """Bytes of a frame's pixels."""
        return math.prod(self.frame_shape) * self.dtype.itemsize

    @property
    def stride(self) -> int:
        """Bytes from one frame to the next."""
        return self.lead + self.pixel_bytes + self.tail

    def offset(self, index: int) -> int:
        """Return where a frame begins."""
        return self.start + index * self.stride

    def whole_frames(self, size: int) -> int:
        """Return how many whole frames a file of a size holds."""
        return max(size - self.start, 0) // self.stride


class StridedSource(FrameSource):
    """A file of frames at equal distances; by default each is in the slot of its index.

    Parameters
    ----------
    blob : Blob
        The file, which this owns from now on.
    header : ScanHeader
        What it says.
    layout : Layout
        Where the frames lie.
    stored : int, optional
        Frames that the file says that it holds; by default as many as the scan has.
    """

    def __init__(self, blob: Blob, header: ScanHeader, layout: Layout, stored: int | None = None) -> None:
        self._blob, self.header, self._layout = blob, header, layout
        self._stored = header.expected if stored is None else stored
        self._kept = kept_dtype(layout.dtype, blob.name)
        self._count = 0
        self._damaged: set[int] = set()
        self._lock = threading.Lock()
        self.look()

    @property
    def frame_count(self) -> int:
        return self._count

    @property
    def is_closed(self) -> bool:
        return self._count >= self._stored

    @property
    def damaged(self) -> int:
        with self._lock:
            return len(self._damaged)

    def look(self) -> int:
        self._look_at_size(self._blob.size())
        return self._count

    def slots(self, start: int, stop: int) -> NDArray[np.int64]:
        check_range(start, stop, self._count)
        return np.arange(start, stop, dtype=np.int64)

    def sizes(self, start: int, stop: int) -> NDArray[np.int64]:
        check_range(start, stop, self._count)
        return np.full(stop - start, math.prod(self.header.frame_shape) * self._kept.itemsize, np.int64)

    def read(self, start: int, stop: int) -> DenseFrames:
        check_range(start, stop, self._count)
        pixels, _ = self._fetch(start, stop)
        return DenseFrames(positions_of(self.slots(start, stop), self.header.frames_per_position), pixels)

    def close(self) -> None:
        self._blob.close()

    def _look_at_size(self, size: int) -> None:
        end = self._layout.offset(self._stored)
        if size > end:
            what = f"has {size} bytes, but says that it holds {self._stored} frames, which end at byte {end}"
            raise refused(self._blob.name, what, "Correct its header, or what was given as the scan's shape.")
        whole = self._layout.whole_frames(size)
        if whole < self._count:
            raise refused(self._blob.name, f"has {whole} frames, and had {self._count}", "Copy it again.")
        self._prepare(whole)
        self._count = whole

    def _prepare(self, count: int) -> None:
        """Learn what must be known of so many frames before they may be read."""

    def _fetch(self, start: int, stop: int) -> tuple[NDArray[Any], NDArray[np.uint8]]:
        """Return the pixels of frames, and the bytes that lead each."""
        layout, count = self._layout, stop - start
        stored = np.empty((count, *layout.frame_shape), layout.dtype.newbyteorder("="))
        leads = np.zeros((count, layout.lead), np.uint8)
        if count:
            parts = _parts(stored.reshape(-1).data.cast("B"), leads.reshape(-1).data, count, layout)
            got = self._blob.read_into_parts(layout.offset(start), parts)
            if got < sum(map(len, parts)):
                what = f"ends within frame {start + got // layout.stride}, which was there before"
                raise refused(self._blob.name, what, "Do not shorten a file that is being read.")
        if not layout.dtype.isnative:
            stored.byteswap(inplace=True)
        return stored.astype(self._kept, copy=False), leads

    def _note_damaged(self, indices: NDArray[np.int64]) -> None:
        with self._lock:
            self._damaged.update(indices.tolist())


def _parts(pixels: memoryview, leads: memoryview, count: int, layout: Layout) -> list[memoryview]:
    """Return the buffers that successive frames fill."""
    if not layout.lead and not layout.tail:
        return [pixels]
    junk = memoryview(bytearray(min(layout.tail, _JUNK)))
    # What is behind the last frame's pixels need not be read.
    tail = [junk] * (layout.tail // _JUNK) + ([junk[: layout.tail % _JUNK]] if layout.tail % _JUNK else [])
    parts: list[memoryview] = []
    for index in range(count):
        if index:
            parts += tail
        if layout.lead:
            parts.append(leads[index * layout.lead : (index + 1) * layout.lead])
        parts.append(pixels[index * layout.pixel_bytes : (index + 1) * layout.pixel_bytes])
    return parts
