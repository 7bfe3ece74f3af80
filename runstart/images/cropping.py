"""Cutting images of different sizes to the size that all of them have.

Rows and columns are looked at separately: the common size of 5 x 9 and 7 x 3 is 5 x 3. (The system that this
replaces compares sizes as pairs, where 7 x 3 beats 5 x 9.)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from runstart.images._checks import as_images

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["crop_center", "crop_to_common"]


def crop_to_common(images: Sequence[npt.ArrayLike]) -> list[npt.NDArray[Any]]:
    """Return views of the first rows and columns that all images have.

    Parameters
    ----------
    images : sequence of real[rows, columns]
        At least one.

    Returns
    -------
    list of real[min rows, min columns]
        Views: nothing is copied.

    Raises
    ------
    Alert
        There is no image, or one has not two axes.
    """
    arrays = as_images(images)
    rows, columns = _common_size(arrays)
    return [array[:rows, :columns] for array in arrays]


def crop_center(images: Sequence[npt.ArrayLike]) -> list[npt.NDArray[Any]]:
    """Return views of the middle of each image, of the size that all images have.

    Of an odd number of surplus rows or columns, the smaller half is cut from the beginning.

    Parameters
    ----------
    images : sequence of real[rows, columns]
        At least one.

    Returns
    -------
    list of real[min rows, min columns]
        Views: nothing is copied.

    Raises
    ------
    Alert
        There is no image, or one has not two axes.
    """
    arrays = as_images(images)
    rows, columns = _common_size(arrays)
    firsts = [((a.shape[0] - rows) // 2, (a.shape[1] - columns) // 2) for a in arrays]
    return [a[y : y + rows, x : x + columns] for a, (y, x) in zip(arrays, firsts, strict=True)]


def _common_size(arrays: list[npt.NDArray[Any]]) -> tuple[int, int]:
    return min(a.shape[0] for a in arrays), min(a.shape[1] for a in arrays)
