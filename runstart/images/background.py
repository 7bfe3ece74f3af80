"""The sky of an image: a smooth surface through the clipped levels of boxes (SEP, as SExtractor does it)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from runstart.errors import Alert
from runstart.images._checks import as_float32, as_image, as_mask

if TYPE_CHECKING:
    import numpy.typing as npt

    Float32 = npt.NDArray[np.float32]

__all__ = ["BackgroundSubtracted", "subtract_background"]

_LEAST_SIDE = 8


class BackgroundSubtracted(NamedTuple):
    """An image without its sky.

    Attributes
    ----------
    subtracted : float32[rows, columns]
        Image minus background; NaN where the image is.
    background : float32[rows, columns]
        The smooth sky, everywhere finite.
    rms : float32[rows, columns]
        The noise of a pixel of the sky.
    """

    subtracted: Float32
    background: Float32
    rms: Float32


def subtract_background(
    data: npt.ArrayLike, mask: npt.ArrayLike | None = None, box: int = 64
) -> BackgroundSubtracted:
    """Return an image without its sky, the sky, and its noise.

    Parameters
    ----------
    data : real[rows, columns]
        At least 8 pixels along both sides; what is not finite is ignored.
    mask : bool or uint16[rows, columns], optional
        What is not 0 is ignored.
    box : int
        Side of the boxes in pixels: larger than the largest star or galaxy, at least 8.

    Raises
    ------
    Alert
        It is no image, too small, or nothing of it is good; the box is too small.
    """
    import sep

    image = as_image(data)
    if min(image.shape) < _LEAST_SIDE:
        message = f"an image of {image.shape[0]} x {image.shape[1]} pixels is too small to find its sky."
        raise Alert(message, f"It needs {_LEAST_SIDE} pixels along both sides.")
    if box < _LEAST_SIDE:
        message = f"a box of {box} pixels is too small to find the sky in it."
        raise Alert(message, f"Take at least {_LEAST_SIDE}; 64 suits most images.")
    values = as_float32(image)
    ignored = as_mask(mask, image.shape) | ~np.isfinite(values)
    if ignored.all():
        message = "the image has no good pixel to find its sky in."
        raise Alert(message, "Check the frame and its mask.")
    filled = np.where(ignored, np.float32(0), values)
    sky = sep.Background(filled, mask=ignored, bw=min(box, image.shape[1]), bh=min(box, image.shape[0]))
    background = np.asarray(sky.back(), np.float32)
    return BackgroundSubtracted(values - background, background, np.asarray(sky.rms(), np.float32))
