"""Pictures for Dagster's event log, which keeps every byte: large enough to look at, and small enough to keep."""

from __future__ import annotations

import io

LONGEST_SIDE = 640  # pixels
_QUALITY = 80


def fit_jpeg(jpeg: bytes, side: int = LONGEST_SIDE) -> bytes:
    """Return a JPEG of which no side is longer than `side` pixels.

    Parameters
    ----------
    jpeg : bytes
        A picture of ours, of any size; a smaller one keeps its size.
    side : int, optional
        Pixels.
    """
    from PIL.JpegImagePlugin import JpegImageFile  # unlike Image.open, it has no limit for strangers' pictures

    with JpegImageFile(io.BytesIO(jpeg)) as picture:
        picture.draft(None, (side, side))  # decodes no more than is needed
        picture.thumbnail((side, side))
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=_QUALITY)
    return buffer.getvalue()
