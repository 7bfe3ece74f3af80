"""Pictures of an image for people: JPEG in two sizes, TIFF, and a thumbnail that Dagster's pages show in place.

Everything here takes arrays as FITS has them, row 0 first, and flips them once, so that row 0 is at the bottom, as
astronomers see it. Images of numbers are scaled by `auto_limits` unless limits are given; colour images (uint8,
three planes) are shown as they are.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from runstart.errors import Alert
from runstart.images.scaling import auto_limits, to_bytes

if TYPE_CHECKING:
    import numpy.typing as npt
    from PIL import Image

__all__ = ["SMALL_SIDE", "Previews", "make_previews"]

SMALL_SIDE = 200
"""Pixels of the longer side of the small picture, at most."""

_QUALITY = 95
_LONGEST_SIDE = 65500  # of a JPEG


class Previews(NamedTuple):
    """Encoded pictures of one image.

    Attributes
    ----------
    large_jpeg : bytes
        In full size.
    small_jpeg : bytes
        Fits into 200 x 200 pixels, keeps the ratio of the sides; smaller images are not enlarged.
    tiff : bytes
        In full size, without loss (LZW).
    thumbnail : bytes
        WebP of less than 600 bytes.
    thumbnail_size : tuple of int
        Its width and height.
    """

    large_jpeg: bytes
    small_jpeg: bytes
    tiff: bytes
    thumbnail: bytes
    thumbnail_size: tuple[int, int]

    def as_markdown(self, title: str) -> str:
        """Return markdown that shows the thumbnail, shorter than 1,000 characters.

        Parameters
        ----------
        title : str
            Any text; only harmless letters are kept.
        """
        from runstart.product import SmallPicture

        return SmallPicture(self.thumbnail_size, self.thumbnail).as_markdown(title)


def make_previews(image: npt.ArrayLike, limits: tuple[float, float] | None = None) -> Previews:
    """Return all pictures of an image.

    Parameters
    ----------
    image : real[rows, columns] or uint8[rows, columns, 3]
        Row 0 comes to lie at the bottom.
    limits : tuple of float, optional
        Values that become black and white; not for colour images.

    Returns
    -------
    Previews
        Bytes.

    Raises
    ------
    Alert
        It is no image, or one side is longer than a JPEG can be; the limits are wrong.
    """
    from runstart.product import small_picture

    picture = _picture(image, limits)
    if max(picture.size) > _LONGEST_SIDE:
        message = f"the image of {picture.height} x {picture.width} pixels is longer than a JPEG's 65500."
        raise Alert(message, "Cut it into smaller images.")
    small = picture.copy()
    small.thumbnail((SMALL_SIDE, SMALL_SIDE))
    thumbnail = small_picture(picture)
    return Previews(
        large_jpeg=_encode(picture, "JPEG", quality=_QUALITY),
        small_jpeg=_encode(small, "JPEG", quality=_QUALITY),
        tiff=_encode(picture, "TIFF", compression="tiff_lzw"),
        thumbnail=thumbnail.webp,
        thumbnail_size=thumbnail.size,
    )


def _picture(image: npt.ArrayLike, limits: tuple[float, float] | None) -> Image.Image:
    """Return the scaled and flipped image."""
    from PIL import Image

    array = np.asarray(image)
    if array.ndim == 3 and array.shape[2] == 3 and array.dtype == np.uint8 and array.size:
        if limits is not None:
            message = "a colour image has its scale already, but limits are given."
            raise Alert(message, "Leave the limits away.")
        levels = array
    else:
        zmin, zmax = auto_limits(array) if limits is None else limits
        levels = to_bytes(array, zmin, zmax)
    return Image.fromarray(np.ascontiguousarray(levels[::-1]))


def _encode(picture: Image.Image, kind: str, **options: int | str) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()
