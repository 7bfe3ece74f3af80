"""Frames in TIFF stacks: each page a frame, or an array of four dimensions in whatever order of pages.

Pixels that lie in the file as they are in memory are read past the library, by several threads at once.
"""

from __future__ import annotations

import io
import math
import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runstart.errors import Alert, Transient
from runstart.frame_files._limits import check_header, check_range, kept_dtype, positions_of, refused, split_shape
from runstart.frame_files._strided import Layout, StridedSource
from runstart.frame_files.blob import Blob, BlobFile
from runstart.frame_files.source import FrameSource, ScanHeader
from runstart.frames import DenseFrames, Shape

__all__ = ["MAGICS", "open_tiff"]

MAGICS = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")
_BUFFER = 2**20


def open_tiff(blob: Blob, scan_shape: Shape | None = None) -> FrameSource:
    """Return the frames of a TIFF stack, which owns the blob from now on.

    Parameters
    ----------
    blob : Blob
        The file.
    scan_shape : tuple of int, optional
        Rows and columns of the scan; without it four dimensions say it, and three are a scan of one row.

    Raises
    ------
    Alert
        If the file is truncated or damaged, or holds no single stack of frames that can be read.
    """
    import tifffile

    stream = BlobFile(blob)
    try:
        file = tifffile.TiffFile(io.BufferedReader(stream, _BUFFER), name=blob.name)
        series = [one for one in file.series if one.ndim > 2 or len(file.series) == 1]
    except Exception as error:
        raise _damaged(blob, stream, error) from error
    if len(series) != 1:
        raise refused(blob.name, f"holds {len(series)} stacks of images", "Give a file with one stack.")
    stack = series[0]
    if "S" in stack.axes:
        raise refused(blob.name, "holds images in colour", "Give a stack of images with one value for each pixel.")
    shape = (1, *stack.shape) if stack.ndim == 2 else stack.shape
    scan_shape, frame_shape, each = split_shape(shape, scan_shape, blob.name)
    stored = np.dtype(stack.dtype).newbyteorder(file.byteorder)
    kept = kept_dtype(stored, blob.name)
    header = check_header(ScanHeader(scan_shape, frame_shape, kept.name, each), blob.name)
    frames = math.prod(shape[:-2])
    if stack.dataoffset is not None:
        return _PlainSource(blob, header, Layout(int(stack.dataoffset), frame_shape, stored), frames)
    if len(stack.pages) != frames:
        what = f"keeps {frames} frames in {len(stack.pages)} pages"
        raise refused(blob.name, what, "Write each frame as a page of its own.")
    return _PageSource(blob, stream, header, kept, list(stack.pages))


class _PlainSource(StridedSource):
    """A stack that lies in the file as in memory, with whatever behind it; truncated, its whole frames are read."""

    def _look_at_size(self, size: int) -> None:
        super()._look_at_size(min(size, self._layout.offset(self._stored)))


class _PageSource(FrameSource):
    """Pages, compressed or not, read by the library, one thread after the other."""

    def __init__(
        self, blob: Blob, stream: BlobFile, header: ScanHeader, kept: np.dtype[Any], pages: list[Any]
    ) -> None:
        self.header = header
        self._blob, self._stream, self._kept, self._pages = blob, stream, kept, pages
        self._lock = threading.Lock()
        if any(page is None for page in pages):
            raise refused(blob.name, f"has no page {pages.index(None)} of its stack", "Copy it again.")

    @property
    def frame_count(self) -> int:
        return len(self._pages)

    @property
    def is_closed(self) -> bool:
        return True

    def look(self) -> int:
        return len(self._pages)

    def slots(self, start: int, stop: int) -> NDArray[np.int64]:
        check_range(start, stop, len(self._pages))
        return np.arange(start, stop, dtype=np.int64)

    def sizes(self, start: int, stop: int) -> NDArray[np.int64]:
        check_range(start, stop, len(self._pages))
        return np.full(stop - start, math.prod(self.header.frame_shape) * self._kept.itemsize, np.int64)

    def read(self, start: int, stop: int) -> DenseFrames:
        check_range(start, stop, len(self._pages))
        pixels = np.empty((stop - start, *self.header.frame_shape), self._kept)
        for index in range(start, stop):
            pixels[index - start] = self._page(index)
        return DenseFrames(positions_of(self.slots(start, stop), self.header.frames_per_position), pixels)

    def close(self) -> None:
        self._blob.close()

    def _page(self, index: int) -> NDArray[Any]:
        page = self._pages[index]
        # The library takes what is not there for zeros.
        offsets, lengths = page.dataoffsets, page.databytecounts
        if not offsets or len(offsets) != len(lengths):
            raise refused(self._blob.name, f"does not say where frame {index} lies", "Copy it again.")
        end = max(map(sum, zip(offsets, lengths, strict=True)))
        if end > self._blob.size():
            raise refused(self._blob.name, f"ends before frame {index} does, at byte {end}", "Copy it again.")
        try:
            with self._lock:
                pixels: NDArray[Any] = page.asarray()
        except Exception as error:
            raise _damaged(self._blob, self._stream, error) from error
        if pixels.shape != self.header.frame_shape:
            raise refused(self._blob.name, f"has a frame {index} of shape {pixels.shape}")
        return pixels


def _damaged(blob: Blob, stream: BlobFile, error: Exception) -> Alert | Transient:
    if stream.error is not None:
        return stream.error
    reason = str(error)[:300] or type(error).__name__
    return Alert(f"TIFF file {blob.name} is truncated or damaged: {reason}.", "Copy it again.")
