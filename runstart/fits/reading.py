"""Reading FITS images and tables as numpy arrays in the machine's own byte order.

Unsigned integers stay unsigned. Pixels that BLANK marks become NaN, and the image floating point. What cannot be
read is an `Alert` that names the file as the user knows it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from runstart.errors import Alert
from runstart.fits.astropy_fits import described, quiet, read_errors, verified
from runstart.fits.file_errors import not_readable, reported
from runstart.fits.keywords import is_structural
from runstart.fits.structure import HduInfo, find_hdu, find_image, scan

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["FitsImage", "filter_of", "read_header", "read_image", "read_table"]

_UNCERTAINTIES = ("ERR", "UNCERT")
_MASKS = ("BPM", "MASK", "DQ")
_FILTERS = ("FILTER", *(f"FILTER{number}" for number in range(1, 10)))
_OTHER_FILTERS = ("PRIMARY_OPTICAL_ELEMENT", "OPTELEM", "FILTNAM", "FILTNAME", "FILTERID", "INSFILTE")
_NO_FILTER = {"", "air", "clear", "none", "open", "empty", "n/a", "unknown"}


@dataclass(frozen=True)
class FitsImage:
    """An image with what belongs to it.

    Attributes
    ----------
    data : array[rows, columns]
        The pixels; integers, or floating point where NaN is a missing pixel.
    header : astropy.io.fits.Header
        Of the image.
    mask : integer array[rows, columns] or None
        Not zero where a pixel is bad, if the file says.
    uncertainty : float array[rows, columns] or None
        Standard deviations in the unit of the data, if the file says.
    hdu_name : str
        EXTNAME of the image.
    """

    data: npt.NDArray[Any]
    header: Any
    mask: npt.NDArray[np.integer[Any]] | None
    uncertainty: npt.NDArray[np.floating[Any]] | None
    hdu_name: str


def read_image(
    path: Path | str, name: str | None = None, *, label: str | None = None, finite: bool = False
) -> FitsImage:
    """Read an image, fpacked or plain.

    Parameters
    ----------
    path : Path
        The file.
    name : str, optional
        EXTNAME of the image, in whatever case; by default SCI if there is one, else the first image of two
        dimensions.
    label : str, optional
        The file's name in messages; by default that of the path.
    finite : bool, optional
        Whether an image without any finite pixel is an error.

    Returns
    -------
    FitsImage
        With mask and uncertainty if the file has them (BPM, MASK or DQ; ERR or UNCERT).

    Raises
    ------
    Alert
        The file is empty, not FITS, truncated or damaged; has no such HDU, or no image of two dimensions in it; a mask
        or uncertainty does not fit to the image; no pixel is finite.
    """
    label = label or Path(path).name
    hdus = _scanned(path, label)
    chosen = find_image(hdus, name, label)
    with _opened(path, label) as file:
        header = _header_of(file, chosen, label)
        data = _pixels(file, chosen, label)
        uncertainty = _plane(file, hdus, chosen, _UNCERTAINTIES, label)
        mask = _plane(file, hdus, chosen, _MASKS, label)
    if finite and data.dtype.kind == "f" and not np.isfinite(data).any():
        raise Alert(f"FITS file {label} has no finite pixel: all are NaN or infinite.", "Leave it out.")
    if uncertainty is not None and uncertainty.dtype.kind != "f":
        uncertainty = uncertainty.astype(np.float32 if uncertainty.dtype.itemsize < 4 else np.float64)
    return FitsImage(data, header, None if mask is None else _integers(mask, label), uncertainty, chosen.name)


def read_header(path: Path | str, name: str | None = None, *, label: str | None = None) -> Any:
    """Read the header of an image, or of any HDU by its name.

    Parameters
    ----------
    path : Path
        The file.
    name : str, optional
        EXTNAME of the HDU; by default the one that `read_image` reads.
    label : str, optional
        The file's name in messages; by default that of the path.

    Returns
    -------
    astropy.io.fits.Header
        With the cards of the primary HDU where the HDU says INHERIT.

    Raises
    ------
    Alert
        As `read_image`.
    """
    label = label or Path(path).name
    hdus = _scanned(path, label)
    chosen = find_image(hdus, None, label) if name is None else find_hdu(hdus, name, label)
    with _opened(path, label) as file:
        return _header_of(file, chosen, label)


def read_table(path: Path | str, name: str = "CAT", *, label: str | None = None) -> npt.NDArray[np.void]:
    """Read a table.

    Parameters
    ----------
    path : Path
        The file.
    name : str, optional
        EXTNAME of the table, in whatever case.
    label : str, optional
        The file's name in messages; by default that of the path.

    Returns
    -------
    structured array[rows]
        With a field for each column.

    Raises
    ------
    Alert
        The file is empty, not FITS, truncated or damaged, or has no such table.
    """
    label = label or Path(path).name
    hdus = _scanned(path, label)
    chosen = find_hdu(hdus, name, label)
    if chosen.kind != "table":
        raise Alert(f"HDU {chosen.name} of FITS file {label} is no table.", "Give a file with a table there.")
    with _opened(path, label) as file:
        verified(file[chosen.index], label)
        records = file[chosen.index].data
        names = list(records.names or ())
        columns = [_native(np.asarray(records[column])) for column in names]
        table = np.empty(len(records), [(n, c.dtype, c.shape[1:]) for n, c in zip(names, columns, strict=True)])
        for column, values in zip(names, columns, strict=True):
            table[column] = values
    return table


def filter_of(header: Mapping[str, Any]) -> str:
    """Return the filter through which an image was taken.

    Parameters
    ----------
    header : astropy.io.fits.Header or mapping
        Of the image.

    Returns
    -------
    str
        FILTER; else what is not empty in the wheels FILTER1 to FILTER9, joined by `+`; else one of the other keywords
        that observatories use. Empty if there is none.
    """

    def told(key: str) -> str:
        value = header.get(key)
        text = value.strip() if isinstance(value, str) else ""
        return "" if text.lower() in _NO_FILTER else text

    if told("FILTER"):
        return told("FILTER")
    in_wheels = [told(key) for key in _FILTERS[1:] if told(key)]
    if in_wheels:
        return "+".join(dict.fromkeys(in_wheels))
    return next((told(key) for key in _OTHER_FILTERS if told(key)), "")


def _scanned(path: Path | str, label: str) -> list[HduInfo]:
    try:
        return scan(path, label=label)
    except OSError as error:
        raise reported(label, error) from error


@contextlib.contextmanager
def _opened(path: Path | str, label: str) -> Iterator[Any]:
    from astropy.io import fits

    with quiet():
        try:
            # A mapped file that somebody cuts short would kill the process.
            with fits.open(path, memmap=False) as file:
                yield file
        except read_errors() as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise reported(label, error) from error
            raise not_readable(label, described(error)) from error


def _header_of(file: Any, hdu: HduInfo, label: str) -> Any:
    header = verified(file[hdu.index], label)
    if hdu.index and header.get("INHERIT") is True:
        primary = verified(file[0], label)
        cards = [c for c in primary.cards if _may_inherit(c.keyword) and c.keyword not in header]
        header.extend(cards, end=True)
    return header


def _may_inherit(keyword: str) -> bool:
    return keyword not in ("", "COMMENT", "HISTORY") and not is_structural(keyword)


def _pixels(file: Any, hdu: HduInfo, label: str) -> npt.NDArray[Any]:
    header = file[hdu.index].header
    blank, zero, scale = header.get("BLANK"), header.get("BZERO", 0), header.get("BSCALE", 1)
    data = file[hdu.index].data
    if data is None or data.shape != hdu.shape:
        raise not_readable(label, "its pixels are not those that its header tells")
    data = _native(data)
    # astropy replaces blank pixels in images that it scales, but not in unsigned ones.
    if isinstance(blank, int) and data.dtype.kind == "u" and scale == 1 and zero:
        missing = data == blank + zero
        data = data.astype(np.float32 if data.dtype.itemsize <= 2 else np.float64)
        data[missing] = np.nan
    return data


def _plane(
    file: Any, hdus: list[HduInfo], chosen: HduInfo, names: tuple[str, ...], label: str
) -> npt.NDArray[Any] | None:
    planes = [hdu for name in names for hdu in hdus if hdu.name == name and hdu.is_image and hdu != chosen]
    if not planes:
        return None
    if planes[0].shape != chosen.shape:
        what = f"{planes[0].name} of FITS file {label} has shape {planes[0].shape}, its image {chosen.shape}."
        raise Alert(what, "Give a file whose planes fit, or leave the plane out.")
    verified(file[planes[0].index], label)
    return _pixels(file, planes[0], label)


def _integers(mask: npt.NDArray[Any], label: str) -> npt.NDArray[np.integer[Any]]:
    if mask.dtype.kind in "iu":
        return mask
    whole = mask.astype(np.int32) if np.isfinite(mask).all() and (np.abs(mask) < 2**31).all() else None
    if whole is None or (whole != mask).any():
        raise Alert(f"The mask of FITS file {label} is not made of integers.", "Give a mask of integers.")
    return whole


def _native(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.ascontiguousarray(array, array.dtype.newbyteorder("="))
