"""Sections of a detector as FITS headers write them: `[x1:x2,y1:y2]`, counted from 1, both ends included."""

from __future__ import annotations

import re

from runstart.errors import Alert

__all__ = ["Section", "parse_section"]

Section = tuple[slice, slice]
"""Rows and columns of a numpy array."""

_SECTION = re.compile(r"\s*\[\s*(\d{1,9})\s*:\s*(\d{1,9})\s*,\s*(\d{1,9})\s*:\s*(\d{1,9})\s*\]\s*", re.ASCII)


def parse_section(text: str, shape: tuple[int, int]) -> Section:
    """Return the slices of a section.

    Parameters
    ----------
    text : str
        For example the value of BIASSEC, DATASEC or TRIMSEC; `[1:520,523:536]` is 520 columns and 14 rows.
        Blanks do not matter.
    shape : tuple of int
        Rows and columns of the image.

    Returns
    -------
    rows, columns : slice
        Not empty, inside the image.

    Raises
    ------
    Alert
        The text is no section, runs backwards, or reaches beyond the image.
    """
    found = _SECTION.fullmatch(text)
    if found is None:
        message = f"{text[:80]!r} is no section of an image."
        raise Alert(message, "A section is written [x1:x2,y1:y2], counted from 1: correct the header.")
    x1, x2, y1, y2 = (int(number) for number in found.groups())
    rows, columns = shape
    if not (1 <= x1 <= x2 <= columns and 1 <= y1 <= y2 <= rows):
        message = f"the section {text.strip()} is not inside an image of {columns} columns and {rows} rows."
        raise Alert(message, "Correct the header, or choose the HDU that it belongs to.")
    return slice(y1 - 1, y2), slice(x1 - 1, x2)
