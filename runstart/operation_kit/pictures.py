"""Pictures as inputs: JPEG, PNG and TIFF with 8 bits for each colour, as arrays with the first row at the bottom."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from runstart.errors import Alert
from runstart.fits.folder_source import told

if TYPE_CHECKING:
    import numpy.typing as npt

_FORMATS = ("JPEG", "PNG", "TIFF")
_MODES = frozenset({"1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr"})
_REMEDY = "Give a JPEG, PNG or TIFF picture with 8 bits for each colour."


def read_picture(path: Path, label: str) -> npt.NDArray[np.uint8]:
    """Read a picture.

    Parameters
    ----------
    path : Path
        The file.
    label : str
        Its name in messages.

    Returns
    -------
    uint8[rows, cols, 3]
        Red, green and blue, row 0 at the bottom as in FITS images. Transparency is left out, and of several pages the
        first is read.

    Raises
    ------
    Alert
        If it is no such picture, is damaged, or too large; or if it is not there or may not be read.
    Transient
        The file system does not answer.
    """
    from PIL import Image

    damaged = (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError)
    with told(label):
        try:
            with Image.open(path, formats=_FORMATS) as picture:
                if picture.mode not in _MODES:
                    raise Alert(f"The picture {label} has pixels of the kind {picture.mode!r}.", _REMEDY)
                pixels = np.asarray(picture.convert("RGB"), np.uint8)
        except damaged as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            reason = str(error).replace(repr(str(path)), "it").replace(str(path), label)
            raise Alert(f"The picture {label} cannot be read: {reason}.", _REMEDY) from error
    return np.ascontiguousarray(pixels[::-1])
