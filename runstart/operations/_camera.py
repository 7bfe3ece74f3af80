"""What the header of an exposure says of the camera, and what it says after the frame is trimmed and calibrated.

Of several keywords with one meaning the first that is there counts. Without a gain it is 1 electron per ADU, without
a read noise that of the overscan, else 0; what was taken for granted is told in the output's HISTORY.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from runstart.errors import Alert

if TYPE_CHECKING:
    from astropy.io.fits import Header

GAIN = ("GAIN", "EGAIN")
READ_NOISE = ("RDNOISE", "READNOIS", "READNOISE")
SATURATION = ("SATURATE", "MAXLIN")
EXPOSURE = ("EXPTIME", "EXPOSURE")
OVERSCAN = ("BIASSEC",)
DATA = ("TRIMSEC", "DATASEC")

_SECTIONS = ("BIASSEC", "TRIMSEC", "DATASEC", "CCDSEC", "AMPSEC", "DETSEC")
_ABSENT = {"", "none", "n/a", "na", "unknown"}
_ELECTRONS = {"electron", "electrons", "e-", "e", "elec"}


def number_of(header: Header, keywords: tuple[str, ...], name: str) -> float | None:
    """Return the number of the first of some keywords that a header has; None if it has none.

    Raises
    ------
    Alert
        It is no finite number; names the file and the keyword.
    """
    for keyword in keywords:
        value = header.get(keyword)
        if value is None or str(value).strip().lower() in _ABSENT:
            continue
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = math.nan
        if isinstance(value, bool) or not math.isfinite(number):
            raise Alert(f"{name}: {keyword} is {value!r}, which is no number.", "Correct its header.")
        return number
    return None


def section_of(header: Header, keywords: tuple[str, ...]) -> str:
    """Return the section that the first of some keywords names; empty if there is none."""
    for keyword in keywords:
        text = str(header.get(keyword, "")).strip()
        if text.lower() not in _ABSENT:
            return text
    return ""


def exposure_of(header: Header, name: str) -> float:
    """Return the exposure time in seconds.

    Raises
    ------
    Alert
        The header has none, or it is below 0.
    """
    seconds = number_of(header, EXPOSURE, name)
    if seconds is None or seconds < 0:
        raise Alert(
            f"{name} has no exposure time ({' or '.join(EXPOSURE)} is {'absent' if seconds is None else seconds}).",
            "Correct its header, or do without the dark.",
        )
    return seconds


def is_in_electrons(header: Header) -> bool:
    """Return whether the unit of an image is the electron."""
    return str(header.get("BUNIT", "")).strip().lower() in _ELECTRONS


def trimmed_header(header: Header, rows: slice, columns: slice) -> Header:
    """Return a header without sections, and with the reference pixels of its WCS moved by the trim.

    Parameters
    ----------
    header : Header
        Of the whole frame; is not changed.
    rows, columns : slice
        What is kept.
    """
    trimmed = header.copy()
    for keyword in _SECTIONS:
        trimmed.remove(keyword, ignore_missing=True, remove_all=True)
    for axis, first in ((1, columns.start), (2, rows.start)):
        for suffix in ("", *"ABCDEFGHIJKLMNOPQRSTUVWXYZ"):
            keyword = f"CRPIX{axis}{suffix}"
            if isinstance(trimmed.get(keyword), (int, float)):
                trimmed[keyword] -= first
        if isinstance(trimmed.get(f"LTV{axis}"), (int, float)):
            trimmed[f"LTV{axis}"] -= first
    return trimmed


def to_electrons(header: Header, gain: float) -> None:
    """Change a header of an image in ADU to what it is in electrons, in place."""
    header["BUNIT"] = ("electron", "unit of the image")
    for keyword in GAIN:
        if keyword in header:
            header[keyword] = (1.0, f"electrons per unit of the image; was {gain:g}")
    for keyword in SATURATION:
        value: Any = header.get(keyword)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            header[keyword] = value * gain
