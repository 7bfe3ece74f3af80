"""Rows of many FITS images, in any order and from several threads, with a fixed number of open files.

Plain images are read where they lie; compressed ones through astropy and its memory map, which reads their tiles
twice as fast as by calls, one image at a time. Of more files than may stay open, the later ones are opened for each
reading.
"""

from __future__ import annotations

import contextlib
import os
import resource
import threading
import zlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import types

from runstart.fits.astropy_fits import cfitsio_error, described
from runstart.fits.file_errors import not_readable, reported, truncated
from runstart.images._decoding import decode, decode_in_place, is_decoded_in_place
from runstart.images._fits_layout import ImageLayout
from runstart.images._networks import compiled

if TYPE_CHECKING:
    import numpy.typing as npt

# An open compressed file holds its header and table of tiles in memory.
_MOST_OPEN_COMPRESSED = 32
# Of the files that a process may open, others need some too.
_SHARE_OF_OPEN_FILES = 4
_CLOSED = -1
# What else astropy raises about damaged tiles.
_DAMAGES = (zlib.error, ValueError, TypeError, RuntimeError, LookupError, EOFError)

_pread = types.ExternalFunction("pread", types.intp(types.int32, types.voidptr, types.uintp, types.int64))


class RowReaders(contextlib.AbstractContextManager["RowReaders"]):
    """Reads rows of images, decoded and cropped to a common number of columns.

    Parameters
    ----------
    layouts : sequence of ImageLayout
        The images.
    dtype : dtype
        Of the decoded values; holds each of the images' dtypes.
    columns : int
        How many columns to keep, from the first.
    """

    def __init__(self, layouts: Sequence[ImageLayout], dtype: np.dtype[Any], columns: int) -> None:
        self._layouts = layouts
        self._columns = columns
        self._in_place = [layout.columns == columns and is_decoded_in_place(layout, dtype) for layout in layouts]
        self._stack = contextlib.ExitStack()
        self._sections: dict[int, Any] = {}
        self._turn = threading.Lock()
        self._most_open = max(8, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // _SHARE_OF_OPEN_FILES)
        self._open: dict[int, int] = {}
        self._descriptors = np.full(len(layouts), _CLOSED, np.int32)
        self._offsets = np.array([layout.offset for layout in layouts], np.int64)
        self._row_bytes = np.array([layout.row_bytes for layout in layouts], np.int64)

    def __enter__(self) -> RowReaders:
        plain = [k for k, layout in enumerate(self._layouts) if not layout.stored.is_compressed]
        with contextlib.ExitStack() as stack:
            for k in plain[: self._most_open]:
                self._open[k] = stack.enter_context(_opened(self._layouts[k]))
                if self._in_place[k]:
                    self._descriptors[k] = self._open[k]
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._sections.clear()
        self._stack.close()

    def read_band(self, first: int, band: npt.NDArray[Any]) -> None:
        """Read some rows of all images.

        Parameters
        ----------
        first : int
            The first row.
        band : real[n, rows, columns]
            Written; contiguous, of the readers' dtype.

        Raises
        ------
        Alert
            A file has become shorter, cannot be read any more, or its compressed data is damaged.
        Transient
            The file system does not answer.
        """
        pieces = band.reshape(len(self._layouts), -1).view(np.uint8)
        is_read = np.zeros(len(self._layouts), np.bool_)
        _read_pieces(self._descriptors, self._offsets + first * self._row_bytes, pieces, is_read)
        for k in np.flatnonzero(~is_read).tolist():
            layout = self._layouts[k]
            try:
                if self._in_place[k]:
                    self._read_plain(k, first, pieces[k])
                elif layout.stored.is_compressed:
                    with self._turn:
                        self._read_compressed(k, first, band[k])
                else:
                    raw = np.empty((band.shape[1], layout.columns), layout.raw_dtype)
                    self._read_plain(k, first, raw)
                    decode(raw[:, : self._columns], layout, band[k])
            except OSError as error:
                raise reported(str(layout.path), error) from error
        if all(self._in_place):
            decode_in_place(band.reshape(-1))
            return
        for k, is_in_place in enumerate(self._in_place):
            if is_in_place:
                decode_in_place(band[k].reshape(-1))

    def scratch_bytes(self, rows: int) -> int:
        """Return how many bytes the reading of some rows takes at most, besides the result."""
        most = 0
        for layout, is_in_place in zip(self._layouts, self._in_place, strict=True):
            if is_in_place:
                continue
            # Of the stored values, twice if compressed; of the scaled ones; of their blanks.
            itemsize = (
                layout.raw_dtype.itemsize * (2 if layout.stored.is_compressed else 1) + layout.dtype.itemsize + 1
            )
            tiles = -(-rows // layout.stored.tile_rows) + (layout.stored.tile_rows > 1)
            most = max(most, tiles * layout.stored.tile_rows * layout.columns * itemsize)
        return most

    def _read_plain(self, k: int, first: int, values: npt.NDArray[Any]) -> None:
        """Read rows as they are stored, and find out why if it cannot be done."""
        layout = self._layouts[k]
        buffer = memoryview(values.reshape(-1).view(np.uint8).data)
        offset = layout.offset + first * layout.row_bytes
        with contextlib.nullcontext(self._open[k]) if k in self._open else _opened(layout) as descriptor:
            while buffer:
                n_read = os.preadv(descriptor, [buffer], offset)
                if n_read == 0:
                    raise truncated(str(layout.path), "it has become shorter while it was read")
                buffer = buffer[n_read:]
                offset += n_read

    def _read_compressed(self, k: int, first: int, out: npt.NDArray[Any]) -> None:
        layout = self._layouts[k]
        try:
            with self._section(k) as section:
                raw = section[first : first + out.shape[0], : self._columns]
        except (cfitsio_error(), *_DAMAGES) as error:
            raise not_readable(str(layout.path), described(error)) from error
        decode(raw, layout, out)

    @contextlib.contextmanager
    def _section(self, k: int) -> Iterator[Any]:
        if k in self._sections:
            yield self._sections[k]
            return
        from astropy.io import fits

        layout = self._layouts[k]
        hdus = fits.open(layout.path, memmap=True, do_not_scale_image_data=True)
        if len(self._sections) < min(self._most_open, _MOST_OPEN_COMPRESSED):
            self._stack.callback(hdus.close)
            self._sections[k] = hdus[layout.hdu].section
            yield self._sections[k]
            return
        with hdus:
            yield hdus[layout.hdu].section


@contextlib.contextmanager
def _opened(layout: ImageLayout) -> Iterator[int]:
    try:
        descriptor = os.open(layout.path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise reported(str(layout.path), error) from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@compiled
def _read_pieces(
    descriptors: npt.NDArray[np.int32],
    offsets: npt.NDArray[np.int64],
    pieces: npt.NDArray[np.uint8],
    is_read: npt.NDArray[np.bool_],
) -> None:
    """Fill rows from open files, and say which are full; in one call, for the files are many and the pieces small."""
    for k in range(descriptors.size):
        if descriptors[k] != _CLOSED:
            piece = pieces[k]
            is_read[k] = _pread(descriptors[k], piece.ctypes, piece.size, offsets[k]) == piece.size
