"""Arithmetic on images with planes of uncertainty and mask."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

Section = tuple[slice, slice]
_ALL: Section = (slice(None), slice(None))


def as_float(data: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return an image in the smallest native float type that holds all its values, so that nothing wraps.

    Parameters
    ----------
    data : number[rows, cols]

    Returns
    -------
    float32 or float64[rows, cols]
        float32 of float32 and of integers of at most 16 bits.
    """
    narrow = data.dtype.itemsize <= (4 if data.dtype.kind == "f" else 2)
    return np.asarray(data, np.float32 if narrow else np.float64)


def add_in_quadrature(
    one: npt.NDArray[Any] | None, other: npt.NDArray[Any] | None, section: Section = _ALL
) -> npt.NDArray[Any] | None:
    """Return the uncertainty of a sum or difference; None stands for one that is not known, and adds nothing.

    Parameters
    ----------
    one, other : float[rows, cols] or None
    section : tuple of slice
        What of both is wanted.
    """
    known = [plane[section] for plane in (one, other) if plane is not None]
    return np.hypot(*known) if len(known) == 2 else next(iter(known), None)


def join_masks(
    one: npt.NDArray[Any] | None, other: npt.NDArray[Any] | None, section: Section = _ALL
) -> npt.NDArray[Any] | None:
    """Return the bits of both masks; None stands for no bits.

    Parameters
    ----------
    one, other : integer[rows, cols] or None
    section : tuple of slice
        What of both is wanted.
    """
    known = [plane[section] for plane in (one, other) if plane is not None]
    return known[0] | known[1] if len(known) == 2 else next(iter(known), None)
