"""Frames in HDF5 files: NeXus, EMD, or any with one array of three or four dimensions, compressed or not.

Pixels that lie in the file as they are in memory are read past the library, by several threads at once. A file is read
as it is when it is opened; one that another program is still writing is not followed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from runstart.frame_files._limits import check_header, check_range, kept_dtype, positions_of, refused, split_shape
from runstart.frame_files._strided import Layout, StridedSource
from runstart.frame_files.blob import Blob
from runstart.frame_files.source import NO_SLOT, FrameSource, ScanHeader
from runstart.frames import DenseFrames, Shape

if TYPE_CHECKING:
    from runstart.frame_files._hdf5_access import Hdf5File

__all__ = ["MAGIC", "open_hdf5"]

MAGIC = b"\x89HDF\r\n\x1a\n"


def open_hdf5(blob: Blob, scan_shape: Shape | None = None, dataset: str | None = None) -> FrameSource:
    """Return the frames, or counted frames, of an HDF5 file, which owns the blob from now on.

    Parameters
    ----------
    blob : Blob
        The file.
    scan_shape : tuple of int, optional
        Rows and columns of the scan; without it four dimensions say it, and three are a scan of one row.
    dataset : str, optional
        Path of the array in the file. Without it: what the chain of NeXus' `default` attributes leads to; else the
        only array that its group announces as data (NXdata, EMD); else the only one of four dimensions; else of three.

    Raises
    ------
    Alert
        If the file is truncated or damaged, holds no frames that can be read, or several arrays may be the frames.
    Transient
        If it is being written by another program.
    """
    from runstart.frame_files import _hdf5_access, _hdf5_finding, counted_hdf5

    file = _hdf5_access.Hdf5File(blob)
    try:
        with file.told():
            if dataset is None and counted_hdf5.is_counted(file.root):
                return counted_hdf5.CountedSource(file)
            found = _hdf5_finding.find_frames(file, dataset)
            return _open_dataset(file, found, scan_shape, _hdf5_finding.find_calibration(found))
    except BaseException:
        file.root.close()
        raise


def _open_dataset(
    file: Hdf5File, dataset: Any, scan_shape: Shape | None, calibration: dict[str, float]
) -> FrameSource:
    name = f"{file.name}, {dataset.name}"
    scan_shape, frame_shape, each = split_shape(dataset.shape, scan_shape, name)
    kept = kept_dtype(dataset.dtype, name)
    header = ScanHeader(scan_shape, frame_shape, kept.name, each, calibration=calibration)
    check_header(header, name)
    if not dataset.is_virtual and not dataset.external and not dataset.id.get_storage_size():
        raise refused(name, "holds no pixels yet", "Wait until it is written.")
    offset = _plain_offset(file, dataset)
    if offset is None:
        return _DatasetSource(file, dataset, header, kept)
    frames = math.prod(dataset.shape[:-2])
    layout = Layout(offset, frame_shape, dataset.dtype)
    if file.blob.size() < layout.offset(frames):
        raise refused(name, "ends before its pixels do", "Copy it again, or wait until it is written.")
    file.root.close()
    return _PlainSource(file.blob, header, layout, frames)


def _plain_offset(file: Hdf5File, dataset: Any) -> int | None:
    """Return where the pixels lie, if they lie in this file as they are in memory."""
    is_here = dataset.file.filename == file.root.filename and not dataset.is_virtual and not dataset.external
    is_plain = dataset.chunks is None and file.root.userblock_size == 0 and dataset.dtype.kind in "iuf"
    offset = dataset.id.get_offset() if is_here and is_plain else None
    return None if offset is None else int(offset)


class _PlainSource(StridedSource):
    """An array that lies in the file as in memory, with whatever behind it."""

    def _look_at_size(self, size: int) -> None:
        super()._look_at_size(min(size, self._layout.offset(self._stored)))


class _DatasetSource(FrameSource):
    """An array in chunks, read by the library, one thread after the other.

    A frame has no slot if a chunk of it was never written: the library would give zeros for it.
    """

    def __init__(self, file: Hdf5File, dataset: Any, header: ScanHeader, kept: np.dtype[Any]) -> None:
        self.header = header
        self._file, self._dataset, self._kept = file, dataset, kept
        self._count = int(math.prod(dataset.shape[:-2]))
        self._columns = int(dataset.shape[1]) if dataset.ndim == 4 else 1
        self._is_stored = _stored_frames(file, dataset)

    @property
    def piece(self) -> int:
        chunks = self._dataset.chunks or (1, 1)
        if self._dataset.ndim == 3:
            return int(chunks[0])
        if chunks[0] > 1 or self._columns % chunks[1]:
            return int(chunks[0] * self._columns)
        return int(chunks[1])

    @property
    def frame_count(self) -> int:
        return self._count

    @property
    def is_closed(self) -> bool:
        return True

    def look(self) -> int:
        return self._count

    def slots(self, start: int, stop: int) -> NDArray[np.int64]:
        check_range(start, stop, self._count)
        return np.where(self._is_stored[start:stop], np.arange(start, stop, dtype=np.int64), NO_SLOT)

    def sizes(self, start: int, stop: int) -> NDArray[np.int64]:
        check_range(start, stop, self._count)
        return np.full(stop - start, math.prod(self.header.frame_shape) * self._kept.itemsize, np.int64)

    def read(self, start: int, stop: int) -> DenseFrames:
        check_range(start, stop, self._count)
        pixels = np.empty((stop - start, *self.header.frame_shape), self._kept)
        with self._file.told():
            for first, last in _rows(start, stop, self._columns):
                self._read_into(pixels[first - start : last - start], first, last)
        return DenseFrames(positions_of(self.slots(start, stop), self.header.frames_per_position), pixels)

    def close(self) -> None:
        self._file.close()

    def _read_into(self, pixels: NDArray[Any], first: int, last: int) -> None:
        """Fill an array with frames of one row of the scan, or of whole rows."""
        if self._dataset.ndim == 3:
            self._dataset.read_direct(pixels, np.s_[first:last])
            return
        row, column = divmod(first, self._columns)
        count = last - first
        if count < self._columns:
            self._dataset.read_direct(pixels, np.s_[row, column : column + count])
        else:
            rows = count // self._columns
            target = pixels.reshape(rows, self._columns, *pixels.shape[1:])
            self._dataset.read_direct(target, np.s_[row : row + rows])


def _rows(start: int, stop: int, columns: int) -> list[tuple[int, int]]:
    """Return a range in up to three parts: the rest of a row, whole rows, the beginning of a row."""
    inner, outer = -(-start // columns) * columns, stop // columns * columns
    if inner > outer:
        return [(start, stop)]
    return [part for part in ((start, inner), (inner, outer), (outer, stop)) if part[0] < part[1]]


def _stored_frames(file: Hdf5File, dataset: Any) -> NDArray[np.bool_]:
    """Return which frames have all their chunks in the file.

    Raises
    ------
    Alert
        If a chunk cannot be where it is said to be: the library crashes on some of those.
    """
    frames, chunks = dataset.shape[:-2], dataset.chunks
    if chunks is None:
        return np.ones(math.prod(frames), bool)
    found = np.zeros([-(-length // size) for length, size in zip(frames, chunks, strict=False)], np.int64)
    is_here = dataset.file.filename == file.root.filename
    limit = file.blob.size() - file.root.userblock_size if is_here else 2**63
    least = 5 if dataset.fletcher32 else 1

    def note(chunk: Any) -> None:
        offsets = chunk.chunk_offset
        is_outside = any(offset >= length for offset, length in zip(offsets, dataset.shape, strict=True))
        if is_outside or chunk.size < least or chunk.byte_offset + chunk.size > limit:
            what = f"has a chunk of {chunk.size} bytes at byte {chunk.byte_offset}, for {offsets}, which cannot be"
            raise refused(file.name, what, "Copy it again, or wait until it is written.")
        found[tuple(offset // size for offset, size in zip(offsets, chunks, strict=True))[: found.ndim]] += 1

    dataset.id.chunk_iter(note)
    is_whole: NDArray[np.bool_] = found == _chunks_of(dataset.shape[-2:], chunks[-2:])
    for axis, (length, size) in enumerate(zip(frames, chunks, strict=False)):
        is_whole = np.repeat(is_whole, size, axis).take(range(length), axis)
    return is_whole.reshape(-1)


def _chunks_of(shape: Sequence[int], chunks: Sequence[int]) -> int:
    return math.prod(-(-length // size) for length, size in zip(shape, chunks, strict=True))
