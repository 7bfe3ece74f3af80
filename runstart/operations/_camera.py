"""What the header of an exposure says of the camera, and what it says after the frame is trimmed and calibrated.

Of several keywords with one meaning the first that is there counts. Without a gain it is 1 electron per ADU, without
a read noise that of the overscan, else 0; what was taken for granted is told in the output's HISTORY.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runstart.errors import Alert
from runstart.fits.camera_keywords import USUAL, CameraKeywords
from runstart.operation_kit import Text

if TYPE_CHECKING:
    from astropy.io.fits import Header

_SECTIONS = ("BIASSEC", "TRIMSEC", "DATASEC", "CCDSEC", "AMPSEC", "DETSEC")
_SHORT = 8  # letters of a keyword that is no HIERARCH card
_ABSENT = {"", "none", "n/a", "na", "unknown"}
_ELECTRONS = {"electron", "electrons", "e-", "e", "elec"}


@dataclass(frozen=True)
class _KeywordsText(Text):
    """A text that `CameraKeywords.parse` reads; in its normal form it is empty where all are the usual ones."""

    def check(self, key: str, value: Any) -> str:
        return CameraKeywords.parse(super().check(key, value), key).to_text()


KEYWORDS = _KeywordsText(
    "Header keywords",
    "Of a camera with others than the usual, such as: gain=EGAIN1,GAIN read_noise=RN. The first that is there counts; "
    f"meanings are {', '.join(USUAL.meanings())}.",
)
"""The input of operations that read what a header says of the camera."""


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


def exposure_of(header: Header, name: str, keywords: tuple[str, ...] = USUAL.exposure) -> float:
    """Return the exposure time in seconds.

    Raises
    ------
    Alert
        The header has none, or it is below 0.
    """
    seconds = number_of(header, keywords, name)
    if seconds is None or seconds < 0:
        asked = " or ".join(keywords) or "no keyword"
        raise Alert(
            f"{name} has no exposure time ({asked} is {'absent' if seconds is None else seconds}).",
            "Correct its header, name its keyword (exposure=...), or do without the dark.",
        )
    return seconds


def is_in_electrons(header: Header) -> bool:
    """Return whether the unit of an image is the electron."""
    return str(header.get("BUNIT", "")).strip().lower() in _ELECTRONS


def trimmed_header(header: Header, rows: slice, columns: slice, keywords: CameraKeywords = USUAL) -> Header:
    """Return a header without sections, and with the reference pixels of its WCS moved by the trim.

    Parameters
    ----------
    header : Header
        Of the whole frame; is not changed.
    rows, columns : slice
        What is kept.
    keywords : CameraKeywords
        Of the sections.
    """
    trimmed = header.copy()
    for keyword in {*_SECTIONS, *keywords.bias_section, *keywords.data_section}:
        trimmed.remove(keyword, ignore_missing=True, remove_all=True)
    for axis, first in ((1, columns.start), (2, rows.start)):
        for suffix in ("", *"ABCDEFGHIJKLMNOPQRSTUVWXYZ"):
            keyword = f"CRPIX{axis}{suffix}"
            if isinstance(trimmed.get(keyword), (int, float)):
                trimmed[keyword] -= first
        if isinstance(trimmed.get(f"LTV{axis}"), (int, float)):
            trimmed[f"LTV{axis}"] -= first
    return trimmed


def to_electrons(header: Header, gain: float, keywords: CameraKeywords = USUAL) -> None:
    """Change a header of an image in ADU to what it is in electrons, in place.

    What a camera tells by keywords of its own is told by the usual ones too, for all who read the image later.
    """
    for meaning in ("gain", "read_noise", "saturation"):
        own, usual = getattr(keywords, meaning), getattr(USUAL, meaning)
        told = number_of(header, own, "the header")
        if own != usual and told is not None:
            header[usual[0]] = told
    header["BUNIT"] = ("electron", "unit of the image")
    for keyword in dict.fromkeys((*keywords.gain, *USUAL.gain)):
        _replace(header, keyword, 1.0, f"electrons per unit of the image; was {gain:g}")
    for keyword in dict.fromkeys((*keywords.saturation, *USUAL.saturation)):
        value: Any = header.get(keyword)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            header[keyword] = value * gain


def to_one_second(header: Header, keywords: CameraKeywords = USUAL) -> None:
    """Change the exposure time of a header to that of an image in ADU per second, in place."""
    comment = "s; the image is the dark current of a second"
    header[USUAL.exposure[0]] = (1.0, comment)
    for keyword in dict.fromkeys((*keywords.exposure, *USUAL.exposure)):
        _replace(header, keyword, 1.0, comment)


def _replace(header: Header, keyword: str, value: float, comment: str) -> None:
    """Give a keyword that is there another value; a long one, which has no place for a comment, keeps its own."""
    if keyword in header:
        header.set(keyword, value, comment if len(keyword) <= _SHORT else None)
