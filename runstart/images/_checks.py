"""What every function on one image asks of its arrays, and the words in which it refuses the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from runstart.errors import Alert

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["as_float32", "as_image", "as_images", "as_mask", "check_same_shape"]


def as_image(image: npt.ArrayLike, what: str = "the image") -> npt.NDArray[Any]:
    """Return an array that is sure to be an image: two axes, real numbers, not empty. No copy.

    Parameters
    ----------
    image : real[rows, columns]
        A masked array gives its data.
    what : str
        How messages call it.

    Raises
    ------
    Alert
        It is no image.
    """
    array = np.asarray(image)
    if array.ndim != 2:
        message = f"{what} has {array.ndim} axes (shape {array.shape}), not 2."
        raise Alert(message, "Choose the HDU or the plane of the cube that holds an image.")
    if array.dtype.kind not in "buif":
        message = f"{what} is of type {array.dtype}, not of real numbers."
        raise Alert(message, "Choose the HDU that holds an image.")
    if array.size == 0:
        message = f"{what} has no pixels (shape {array.shape})."
        raise Alert(message, "Choose the HDU that holds an image.")
    return array


def as_images(images: Sequence[npt.ArrayLike], what: str = "image") -> list[npt.NDArray[Any]]:
    """Return each as `as_image` does; messages number them from 1.

    Raises
    ------
    Alert
        There is none, or one is no image.
    """
    arrays = [as_image(image, f"{what} {number}") for number, image in enumerate(images, 1)]
    if not arrays:
        message = f"there is no {what}."
        raise Alert(message, "Give at least one.")
    return arrays


def check_same_shape(shape: tuple[int, ...], **others: npt.ArrayLike | None) -> None:
    """Raise an Alert if one of the arrays (None: not given) is not of a shape.

    Parameters
    ----------
    shape : tuple of int
        Of the image that the others belong to.
    **others : array or None
        By the name that messages use.
    """
    for name, other in others.items():
        if other is not None and np.shape(other) != shape:
            message = f"the {name.replace('_', ' ')} is of shape {np.shape(other)}, the image of shape {shape}."
            raise Alert(message, "Use frames of one camera, binning and section.")


def as_mask(mask: npt.ArrayLike | None, shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    """Return a new boolean mask of a shape: what is not 0 is masked; None masks nothing.

    Raises
    ------
    Alert
        The mask does not fit.
    """
    if mask is None:
        return np.zeros(shape, bool)
    check_same_shape(shape, mask=mask)
    return np.asarray(np.asarray(mask) != 0, bool)


def as_float32(image: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Return an image as the C libraries take it: float32, native byte order, contiguous; too large is infinite."""
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(image, np.float32)
