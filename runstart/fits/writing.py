"""Writing FITS images: fpacked without loss, with checksums, the same bytes for the same content.

The primary HDU says what made the file. The image follows as a tiled image (FITS standard 4.0, section 10.1), which
astropy, ds9 and funpack read: RICE_1 for integers, GZIP_2 for floating point and for integers of 64 bits, no
quantisation. Then come the uncertainty (ERR), the mask (BPM) and the catalogue (CAT), if there are any.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from runstart import __version__
from runstart.errors import Alert, Transient
from runstart.fits.astropy_fits import quiet
from runstart.fits.keywords import is_structural

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["write_image"]

_KEY = re.compile(r"[0-9a-f]{64}")
_FULL = {errno.ENOSPC, errno.EDQUOT}
_UNPRINTABLE = re.compile(r"[^ -~]")
# In place of the time, so that the same content gives the same bytes.
_CHECKSUM_COMMENT = "of the HDU as it was written"


def write_image(
    path: Path | str,
    data: npt.NDArray[Any],
    header: Mapping[str, Any] | None = None,
    *,
    key: str = "",
    history: Iterable[str] = (),
    uncertainty: npt.NDArray[Any] | None = None,
    mask: npt.NDArray[Any] | None = None,
    table: npt.NDArray[np.void] | None = None,
    name: str = "SCI",
) -> None:
    """Write an image with what belongs to it; the file is whole or not there.

    Parameters
    ----------
    path : Path
        The file, replaced if it is there.
    data : array[rows, columns]
        The pixels: integers or floating point of any size up to 64 bits, or bool (written as uint8).
    header : astropy.io.fits.Header or mapping, optional
        For the image; what describes the storage is left out.
    key : str, optional
        Cache key of the data operation, 64 hexadecimal digits: RSTRTKEY of the primary HDU.
    history : iterable of str, optional
        HISTORY cards of the image.
    uncertainty : float array[rows, columns], optional
        Standard deviations in the unit of the data; written as float32.
    mask : integer array[rows, columns], optional
        Not zero where a pixel is bad; 0 to 65535, or bool.
    table : structured array[rows], optional
        The catalogue of the image's sources.
    name : str, optional
        EXTNAME of the image.

    Raises
    ------
    ValueError
        An array does not have the shape or type that it should, or the key is none.
    Transient
        The disk is full.
    """
    path, data = Path(path), _image_of(data)
    if key and not _KEY.fullmatch(key):
        message = f"{key!r} is no key of 64 hexadecimal digits"
        raise ValueError(message)
    with quiet():
        hdus = [_primary(key), _packed(data, _header_for(header, history), name)]
        if uncertainty is not None:
            hdus.append(_packed(_plane(uncertainty, data, "uncertainty").astype(np.float32), _header_for(), "ERR"))
        if mask is not None:
            hdus.append(_packed(_mask_of(_plane(mask, data, "mask")), _header_for(), "BPM"))
        if table is not None:
            hdus.append(_table(table))
        content = _with_checksums(hdus)
    with _written_whole(path) as file:
        file.write(content)


def _image_of(data: npt.NDArray[Any]) -> npt.NDArray[Any]:
    data = np.asarray(data)
    if data.ndim != 2 or data.size == 0:
        message = f"an image has two dimensions and at least one pixel, not shape {data.shape}"
        raise ValueError(message)
    if data.dtype.kind == "b":
        return data.astype(np.uint8)
    if data.dtype.kind == "f" and data.dtype.itemsize <= 8:
        return data.astype(np.float32 if data.dtype.itemsize <= 4 else np.float64)
    if data.dtype.kind not in "iu":
        message = f"FITS images cannot hold {data.dtype}"
        raise ValueError(message)
    return np.ascontiguousarray(data, data.dtype.newbyteorder("="))


def _plane(plane: npt.NDArray[Any], data: npt.NDArray[Any], what: str) -> npt.NDArray[Any]:
    if np.shape(plane) != data.shape:
        message = f"the {what} has shape {np.shape(plane)}, the image {data.shape}"
        raise ValueError(message)
    return np.asarray(plane)


def _mask_of(mask: npt.NDArray[Any]) -> npt.NDArray[np.unsignedinteger[Any]]:
    if mask.dtype.kind not in "biu" or mask.min() < 0 or mask.max() > 65535:
        message = "a mask is made of integers from 0 to 65535"
        raise ValueError(message)
    return mask.astype(np.uint8 if mask.max() <= 255 else np.uint16)


def _primary(key: str) -> Any:
    from astropy.io import fits

    hdu = fits.PrimaryHDU()
    hdu.header["EXTEND"] = (True, "there are extensions")
    hdu.header["CREATOR"] = (f"Runstart {__version__}", "software")
    if key:
        # A comment would not fit behind 64 digits.
        hdu.header["RSTRTKEY"] = key
        hdu.header.add_comment("RSTRTKEY is the cache key of the data operation that made this file:")
        hdu.header.add_comment("SHA-256 of its name, version, parameters and the content of its inputs.")
    return hdu


def _header_for(header: Mapping[str, Any] | None = None, history: Iterable[str] = ()) -> Any:
    from astropy.io import fits

    if isinstance(header, fits.Header):
        cards = [card for card in header.cards if not is_structural(card.keyword)]
    else:
        cards = [(name, value) for name, value in (header or {}).items() if not is_structural(name.upper())]
    kept = fits.Header(cards)
    for line in history:
        for part in str(line).splitlines():
            kept.add_history(_UNPRINTABLE.sub("?", part))
    return kept


def _packed(data: npt.NDArray[Any], header: Any, name: str) -> Any:
    from astropy.io import fits

    # RICE of 64 bits does not exist.
    method = "RICE_1" if data.dtype.kind in "iu" and data.dtype.itemsize < 8 else "GZIP_2"
    return fits.CompImageHDU(data, header, name=name, compression_type=method, quantize_level=0.0)


def _table(table: npt.NDArray[np.void]) -> Any:
    from astropy.io import fits

    if table.dtype.names is None or table.ndim != 1:
        message = "a table is a structured array of one dimension"
        raise ValueError(message)
    return fits.BinTableHDU(table, name="CAT")


def _with_checksums(hdus: list[Any]) -> memoryview:
    """Return the file's bytes, with DATASUM and CHECKSUM in every HDU as it is stored."""
    from astropy.io import fits

    plain, summed = io.BytesIO(), io.BytesIO()
    fits.HDUList(hdus).writeto(plain, output_verify="silentfix+exception")
    content = np.frombuffer(bytearray(plain.getbuffer()), np.uint8)
    with fits.open(io.BytesIO(content.data), memmap=False, disable_image_compression=True) as file:
        for hdu in file:
            if hdu.header.get("ZCMPTYPE") == "GZIP_2":
                _forget_times(content, hdu.fileinfo()["datLoc"], hdu.header)
    with fits.open(io.BytesIO(content.data), memmap=False, disable_image_compression=True) as file:
        for hdu in file:
            hdu.add_datasum(when=_CHECKSUM_COMMENT)
            hdu.add_checksum(when=_CHECKSUM_COMMENT, override_datasum=True)
        file.writeto(summed, output_verify="exception")
    return summed.getbuffer()


def _forget_times(content: npt.NDArray[np.uint8], start: int, header: Any) -> None:
    """Set to zero the times that gzip writes into each tile of an HDU (RFC 1952: bytes 4 to 7)."""
    # Each row of the table is the size of a tile and where it begins in the heap.
    width, n_tiles = header["NAXIS1"], header["NAXIS2"]
    rows = content[start : start + width * n_tiles].view(">i4" if width == 8 else ">i8").reshape(n_tiles, 2)
    tiles = start + header.get("THEAP", width * n_tiles) + rows[:, 1].astype(np.int64)
    content[tiles[:, np.newaxis] + np.arange(4, 8)] = 0


@contextlib.contextmanager
def _written_whole(path: Path) -> Iterator[Any]:
    """Write to a temporary file of the same folder, which gets its name when it is whole."""
    temporary = path.with_name(f".{secrets.token_hex(12)}.part")
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        if error.errno in _FULL:
            raise Transient(f"The disk is full: {path.name} could not be written.") from error
        if error.errno in (errno.EACCES, errno.EROFS, errno.ENOENT, errno.ENOTDIR):
            what = f"{path.name} cannot be written: {error.strerror}."
            raise Alert(what, "Name a folder that exists and may be written.") from error
        raise
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
