"""A colour picture of images through different filters: each image lends its brightness to one colour.

Each channel is scaled between its limits to 0 to 255 and multiplied with its colour; the sum over the channels is
clipped, rounded, and brightened by the gamma table. Row 0 stays row 0: previews put it at the bottom.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from runstart.errors import Alert
from runstart.images.cropping import crop_center
from runstart.images.scaling import check_limits, gamma_table, row_bands, scale_linearly

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["MOST_CHANNELS", "ColorChannel", "compose_color"]

MOST_CHANNELS = 6
"""Images that one colour picture is made of, at most."""


@dataclass(frozen=True, eq=False)
class ColorChannel:
    """An image and the colour it is shown in.

    Parameters
    ----------
    image : real[rows, columns]
        NaN is black.
    color : tuple of float
        Red, green and blue, 0 to 255 each.
    zmin, zmax : float
        Values that become dark and full; equal ones are widened by 1 to both sides.

    Raises
    ------
    Alert
        A colour is outside its range; the limits are not finite or in the wrong order.
    """

    image: npt.ArrayLike
    color: tuple[float, float, float]
    zmin: float
    zmax: float

    def __post_init__(self) -> None:
        if len(self.color) != 3 or not all(math.isfinite(part) and 0 <= part <= 255 for part in self.color):
            message = f"the colour {self.color} is not three numbers from 0 to 255."
            raise Alert(message, "Give red, green and blue, 0 to 255 each.")
        check_limits(self.zmin, self.zmax)


def compose_color(channels: Sequence[ColorChannel]) -> npt.NDArray[np.uint8]:
    """Return the colour picture of 1 to 6 channels.

    Parameters
    ----------
    channels : sequence of ColorChannel
        Images of different sizes are cut to their common middle.

    Returns
    -------
    uint8[rows, columns, 3]
        In the orientation of the images.

    Raises
    ------
    Alert
        There are none or too many channels, or one has no image.
    """
    if not 1 <= len(channels) <= MOST_CHANNELS:
        message = f"a colour image has 1 to {MOST_CHANNELS} channels, not {len(channels)}."
        raise Alert(message, "Give each filter one channel.")
    images = crop_center([channel.image for channel in channels])
    table = gamma_table()
    picture = np.empty((*images[0].shape, 3), np.uint8)
    for band in row_bands(images[0].shape):
        total = np.zeros(picture[band].shape)
        for image, channel in zip(images, channels, strict=True):
            scaled = scale_linearly(image[band], channel.zmin, channel.zmax)
            for i, part in enumerate(channel.color):
                total[..., i] += scaled * (part / 255)
        picture[band] = table[np.rint(np.clip(total, 0, 255)).astype(np.uint8)]
    return picture
