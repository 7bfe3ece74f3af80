"""Arrays as plain pictures: each pixel is a value, coloured between two percentiles, or grey if not finite."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runstart.errors import Alert

COLORS = ("viridis", "plasma", "inferno", "magma", "cividis", "gray")
FORMATS = ("JPEG", "PNG")
MISSING = (205, 210, 216)
"""The grey of values that are not finite."""

_MOST_RANKED = 1 << 17
_QUALITY = 90


@dataclass(frozen=True)
class Look:
    """How values become colours.

    Attributes
    ----------
    percentiles : tuple of float
        Of the values; they become the darkest and the brightest.
    contrast, brightness : float
        What levels between 0 and 1 are multiplied by: first about the middle, then from the darkest on.
    colors : str
        One of `COLORS`.
    blank : float or None
        A value that says nothing: it does not count for the percentiles, and is as dark as the darkest.
    """

    percentiles: tuple[float, float] = (0.5, 99.5)
    contrast: float = 1.0
    brightness: float = 1.0
    colors: str = "viridis"
    blank: float | None = 0.0


def colored_picture(array: NDArray[Any], look: Look, image_format: str) -> bytes:
    """Return an array as a picture; the planes of one with three dimensions stand side by side.

    Parameters
    ----------
    array : ndarray of numbers
        Of two or three dimensions.
    look : Look
        Each plane has percentiles of its own.
    image_format : str
        One of `FORMATS`.

    Raises
    ------
    Alert
        If the array is empty, or has other dimensions.
    """
    from PIL import Image

    picture = Image.fromarray(np.concatenate([_colored(plane, look) for plane in planes_of(array)], axis=1))
    buffer = io.BytesIO()
    picture.save(buffer, image_format, **({"quality": _QUALITY} if image_format == "JPEG" else {}))
    return buffer.getvalue()


def planes_of(array: NDArray[Any]) -> NDArray[Any]:
    """Return the planes of an array, (n, rows, columns).

    Raises
    ------
    Alert
        If it is empty, or has other than two or three dimensions.
    """
    if not array.size or array.ndim not in (2, 3):
        shape = " x ".join(map(str, array.shape)) or "a single number"
        raise Alert(f"An array of {shape} cannot be shown.", "Send an array of rows and columns.")
    return array.reshape(-1, *array.shape[-2:])


def limits_of(values: NDArray[Any], percentiles: tuple[float, float]) -> tuple[float, float]:
    """Return two percentiles of the finite values, apart from each other; 0 and 1 if there are none."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return 0.0, 1.0
    # Every n-th of very many says as much.
    low, high = np.percentile(finite[:: max(1, finite.size // _MOST_RANKED)].astype(np.float64), percentiles)
    if low == high:  # a few bright values on nothing
        low, high = finite.min(), finite.max()
    return (float(low), float(high)) if low < high else (float(low) - 0.5, float(low) + 0.5)


def _colored(plane: NDArray[Any], look: Look) -> NDArray[np.uint8]:
    from matplotlib import colormaps

    says = np.isfinite(plane) if look.blank is None else np.isfinite(plane) & (plane != look.blank)
    low, high = limits_of(plane[says], look.percentiles)
    with np.errstate(invalid="ignore"):
        levels = (plane.astype(np.float64) - low) / (high - low)
        levels = np.clip((np.clip(levels, 0, 1) - 0.5) * look.contrast + 0.5, 0, 1) * look.brightness
    is_known = np.isfinite(plane)
    if look.blank is not None:
        levels[plane == look.blank] = 0.0
    picture: NDArray[np.uint8] = colormaps[look.colors](np.where(is_known, levels, 0.0), bytes=True)[..., :3]
    picture[~is_known] = MISSING
    return picture
