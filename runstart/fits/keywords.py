"""Which header keywords describe how an array is stored, and so belong to one file and not to the image."""

from __future__ import annotations

import re

__all__ = ["is_structural"]

# FITS standard 4.0: mandatory and scaling keywords, checksums (4.4), tables (7), tiled compression (10.1).
_STRUCTURAL = re.compile(
    r"SIMPLE|XTENSION|BITPIX|NAXIS\d*|EXTEND|PCOUNT|GCOUNT|GROUPS|BSCALE|BZERO|BLANK|END|"
    r"EXTNAME|EXTVER|EXTLEVEL|INHERIT|NEXTEND|CHECKSUM|DATASUM|DATAMIN|DATAMAX|"
    r"TFIELDS|THEAP|T(TYPE|FORM|BCOL|SCAL|ZERO|NULL|DIM|DISP|UNIT)\d+|"
    r"Z(IMAGE|SIMPLE|TENSION|EXTEND|BLOCKED|PCOUNT|GCOUNT|HECKSUM|DATASUM|CMPTYPE|BITPIX|QUANTIZ|DITHER0|BLANK|"
    r"MASKCMP|SCALE|ZERO|TILELEN|TABLE|NAXIS\d*|TILE\d+|NAME\d+|VAL\d+|FORM\d+|CTYP\d+)"
)


def is_structural(keyword: str) -> bool:
    """Tell whether a keyword describes the storage: shape, type, scaling, compression, checksums, the HDU's name.

    DATAMIN and DATAMAX are among them, since they are wrong for any other pixels.

    Parameters
    ----------
    keyword : str
        In capitals.

    Returns
    -------
    bool
        True if it must not be copied to another image.
    """
    return _STRUCTURAL.fullmatch(keyword) is not None
