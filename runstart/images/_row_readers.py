"""Rows of many FITS images, in any order and from several threads, with a fixed number of open files.

Plain images are read where they lie; compressed ones through astropy, one at a time. Of more files than may stay
open, the later ones are opened for each reading.
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

from runstart.errors import Alert
from runstart.images._decoding import decode, decode_in_place, is_decoded_in_place
from runstart.images._fits_layout import ImageLayout, reported

if TYPE_CHECKING:
    import numpy.typing as npt

# An open compressed file holds its header and table of tiles in memory.
_MOST_OPEN_COMPRESSED = 32
# Of the files that a process may open, others need some too.
_SHARE_OF_OPEN_FILES = 4


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
        self._kept: dict[int, Any] = {}
        self._turn = threading.Lock()
        most = max(8, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // _SHARE_OF_OPEN_FILES)
        plain = [k for k, layout in enumerate(layouts) if not layout.is_compressed]
        packed = [k for k, layout in enumerate(layouts) if layout.is_compressed]
        self._to_keep = {*plain[:most], *packed[: min(most, _MOST_OPEN_COMPRESSED)]}

    def __exit__(self, *_: object) -> None:
        self._kept.clear()
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
        buffer = memoryview(band.data).cast("B")
        size = len(buffer) // len(self._layouts)
        layout = self._layouts[0]
        try:
            for k, layout in enumerate(self._layouts):
                piece = buffer[k * size : (k + 1) * size]
                if not self._in_place[k]:
                    self._read_and_decode(k, first, band[k])
                # Nearly every reading ends here: it is as short as it can be.
                elif (
                    k not in self._kept
                    or os.preadv(self._kept[k], (piece,), layout.offset + first * layout.row_bytes) != size
                ):
                    self._read_plain(k, first, piece)
        except OSError as error:
            raise reported(layout.path, error) from error
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
            itemsize = layout.raw_dtype.itemsize * (2 if layout.is_compressed else 1) + layout.dtype.itemsize + 1
            tiles = -(-rows // layout.tile_rows) + (layout.tile_rows > 1)
            most = max(most, tiles * layout.tile_rows * layout.columns * itemsize)
        return most

    def _read_and_decode(self, k: int, first: int, out: npt.NDArray[Any]) -> None:
        layout = self._layouts[k]
        if layout.is_compressed:
            with self._turn:
                self._read_compressed(k, first, out)
            return
        raw = np.empty((out.shape[0], layout.columns), layout.raw_dtype)
        self._read_plain(k, first, memoryview(raw.data).cast("B"))
        decode(raw[:, : self._columns], layout, out)

    def _read_plain(self, k: int, first: int, buffer: memoryview) -> None:
        layout = self._layouts[k]
        offset = layout.offset + first * layout.row_bytes
        descriptor = self._kept.get(k)
        if descriptor is None and k in self._to_keep:
            descriptor = self._keep_open(k)
        if descriptor is not None:
            _read_all(descriptor, layout, offset, buffer)
            return
        descriptor = os.open(layout.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _read_all(descriptor, layout, offset, buffer)
        finally:
            os.close(descriptor)

    def _keep_open(self, k: int) -> int:
        with self._turn:
            if k not in self._kept:
                self._kept[k] = os.open(self._layouts[k].path, os.O_RDONLY | os.O_CLOEXEC)
                self._stack.callback(os.close, self._kept[k])
            return int(self._kept[k])

    def _read_compressed(self, k: int, first: int, out: npt.NDArray[Any]) -> None:
        from astropy.io.fits.hdu.compressed._compression import CfitsioException

        layout = self._layouts[k]
        try:
            with self._section(k) as section:
                raw = section[first : first + out.shape[0], : self._columns]
        except (CfitsioException, zlib.error, ValueError, TypeError, RuntimeError, LookupError, EOFError) as error:
            raise Alert(
                f"{layout.path}: the compressed image is damaged ({error}).", "Fetch or write the file again."
            ) from error
        decode(raw, layout, out)

    @contextlib.contextmanager
    def _section(self, k: int) -> Iterator[Any]:
        if k in self._kept:
            yield self._kept[k]
            return
        from astropy.io import fits

        layout = self._layouts[k]
        hdus = fits.open(layout.path, memmap=False, do_not_scale_image_data=True)
        if k in self._to_keep:
            self._stack.callback(hdus.close)
            self._kept[k] = hdus[layout.hdu].section
            yield self._kept[k]
            return
        with hdus:
            yield hdus[layout.hdu].section


def _read_all(descriptor: int, layout: ImageLayout, offset: int, buffer: memoryview) -> None:
    while buffer:
        n_read = os.preadv(descriptor, [buffer], offset)
        if n_read == 0:
            raise Alert(
                f"{layout.path}: the file is truncated: it has become shorter while it was read.",
                "Fetch or write the file again.",
            )
        buffer = buffer[n_read:]
        offset += n_read
