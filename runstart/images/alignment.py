"""Laying images of the same stars on top of each other, without a WCS: triangles of stars are matched (astroalign).

All images come to lie on the first one. If any cannot be matched, all stay as they are, and the reason is told for
each; a partly aligned set would only look right. (The system that this replaces falls back without a word.)

Three stars always make a triangle that resembles some other, so four are asked for on each image, and four that
match. The match is then improved with all stars that have a partner within two pixels: the result does not depend
on the order in which astroalign tries its triangles.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from runstart.errors import Alert
from runstart.images._checks import as_images
from runstart.images.background import subtract_background
from runstart.images.sources import extract_sources

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

__all__ = ["LEAST_STARS", "Alignment", "align_images"]

LEAST_STARS = 4
"""Stars that an image must have, and that must match."""

_MOST_TRIANGLE_STARS = 50
_MOST_STARS = 500
_TOLERANCE = 2.0  # pixels
_MOST_ROUNDS = 10
_MOST_SCALE = 10.0
_FARTHEST = 1e6  # pixels; no detector is larger
_SAME = 1e-3  # pixels; nearer positions are one star


class Alignment(NamedTuple):
    """Images on the grid of the first one, or as they were.

    Attributes
    ----------
    images : list of real[rows, columns]
        Aligned: all of the first one's shape, NaN where an image does not reach. Otherwise those that were given.
    transforms : list of float64[3, 3] or None
        From pixels (x, y, 1), counted from 0, of each image to those of the first; None: no match.
    aligned : bool
        Whether all images were matched.
    reasons : list of str
        Why an image could not be matched; empty where it was.
    """

    images: list[npt.NDArray[Any]]
    transforms: list[Floats | None]
    aligned: bool
    reasons: list[str]


def align_images(
    images: Sequence[npt.ArrayLike], catalogs: Sequence[npt.ArrayLike | None] | None = None
) -> Alignment:
    """Return the images aligned with the first one by shift, rotation and scale.

    Aligned images are resampled bicubically; a value that touches NaN or the outside of an image is NaN.

    Parameters
    ----------
    images : sequence of real[rows, columns]
        At least one.
    catalogs : sequence of real[n, 2] or None, optional
        Positions x, y of each image's stars in FITS pixels (1 is the middle of the first one), brightest first.
        None: the stars are looked for in the image.

    Returns
    -------
    Alignment
        Look at `aligned` and `reasons`.

    Raises
    ------
    Alert
        There is no image, one has not two axes, or the catalogues are not one for each image, of two columns.
    """
    arrays = as_images(images)
    given: Sequence[npt.ArrayLike | None] = [None] * len(arrays) if catalogs is None else catalogs
    if len(given) != len(arrays):
        message = f"there are {len(given)} catalogues for {len(arrays)} images."
        raise Alert(message, "Give one for each image, None where there is none.")
    if len(arrays) == 1:
        return Alignment(arrays, [np.eye(3)], True, [""])
    transforms: list[Floats | None] = []
    reasons: list[str] = []
    first: Floats | None = None
    for number, (array, catalog) in enumerate(zip(arrays, given, strict=True), 1):
        stars, reason = _stars(array, catalog, number)
        transform = None
        if number == 1:
            first = stars if not reason else None
            transform = None if reason else np.eye(3)
        elif not reason:
            transform, reason = _match(stars, first)
        transforms.append(transform)
        reasons.append(reason)
    found = [transform for transform in transforms if transform is not None]
    if len(found) < len(arrays):
        return Alignment(arrays, transforms, False, reasons)
    shape = arrays[0].shape
    resampled = [_resample(a, t, shape) for a, t in zip(arrays[1:], found[1:], strict=True)]
    return Alignment([arrays[0], *resampled], transforms, True, reasons)


def _stars(image: npt.NDArray[Any], catalog: npt.ArrayLike | None, number: int) -> tuple[Floats, str]:
    """Return positions counted from 0, each once, and why they are not enough."""
    if catalog is None:
        try:
            table = extract_sources(subtract_background(image).subtracted, most=_MOST_STARS)
        except Alert as alert:
            return np.empty((0, 2)), str(alert)
        positions = np.column_stack([table["x"], table["y"]])
    else:
        positions = np.asarray(catalog, np.float64)
        if positions.size and (positions.ndim != 2 or positions.shape[1] != 2):
            message = f"catalogue {number} is of shape {positions.shape}, not of two columns."
            raise Alert(message, "Give the columns x and y, one row for each star.")
        positions = positions.reshape(-1, 2)
    positions = positions[(np.abs(positions) < _FARTHEST).all(axis=1)]
    order = np.sort(np.unique(np.rint(positions / _SAME), axis=0, return_index=True)[1])
    stars = positions[order][:_MOST_STARS] - 1
    if len(stars) < LEAST_STARS:
        return stars, f"it has {len(stars)} stars, {LEAST_STARS} are needed."
    return stars, ""


def _match(stars: Floats, first: Floats | None) -> tuple[Floats | None, str]:
    """Return the transform from one image's stars to those of the first, or why there is none."""
    import astroalign

    if first is None:
        return None, "the first image has not enough stars to align with."
    try:
        transform, (matched, _) = astroalign.find_transform(
            stars[:_MOST_TRIANGLE_STARS], first[:_MOST_TRIANGLE_STARS], max_control_points=_MOST_TRIANGLE_STARS
        )
    except astroalign.MaxIterError:
        return None, "its stars form no pattern that the first image has."
    matrix = np.asarray(transform.params, np.float64)
    if len(matched) < LEAST_STARS:
        return None, f"only {len(matched)} of its stars match those of the first image, {LEAST_STARS} are needed."
    return _improve(matrix, stars, first)


def _improve(matrix: Floats, stars: Floats, first: Floats) -> tuple[Floats | None, str]:
    """Return the least-squares transform of all stars that have a partner, found in a few rounds."""
    from scipy.spatial import KDTree

    tree = KDTree(first)
    z, w = stars @ [1, 1j], first @ [1, 1j]
    rotation, shift = complex(matrix[0, 0], matrix[1, 0]), complex(matrix[0, 2], matrix[1, 2])
    before = np.empty(0, np.intp)
    for _ in range(_MOST_ROUNDS):
        moved = rotation * z + shift
        distance, partner = tree.query(np.column_stack([moved.real, moved.imag]))
        # Each star of the first image keeps the nearest one only.
        order = np.argsort(distance, kind="stable")
        order = order[distance[order] <= _TOLERANCE]
        pairs = order[np.unique(partner[order], return_index=True)[1]]
        if len(pairs) < LEAST_STARS:
            return None, f"only {len(pairs)} of its stars match those of the first image, {LEAST_STARS} are needed."
        if np.array_equal(pairs, before):
            break
        before = pairs
        rotation, shift = _fit(z[pairs], w[partner[pairs]])
    if not 1 / _MOST_SCALE <= abs(rotation) <= _MOST_SCALE:
        return None, f"its stars match those of the first image only if it is enlarged {abs(rotation):.3g} times."
    c, s = rotation.real, rotation.imag
    return np.array([[c, -s, shift.real], [s, c, shift.imag], [0, 0, 1]]), ""


def _fit(z: npt.NDArray[np.complex128], w: npt.NDArray[np.complex128]) -> tuple[complex, complex]:
    """Return `a` and `b` of the least-squares solution of `w = a z + b`: rotation and scale, and shift."""
    z_mean, w_mean = z.mean(), w.mean()
    a = np.vdot(z - z_mean, w - w_mean) / np.vdot(z - z_mean, z - z_mean).real
    return complex(a), complex(w_mean - a * z_mean)


def _resample(image: npt.NDArray[Any], transform: Floats, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """Return an image on the first one's grid."""
    from skimage.transform import AffineTransform, warp

    wide = np.dtype(np.float32 if np.can_cast(image.dtype, np.float32) else np.float64)
    inverse = AffineTransform(matrix=np.linalg.inv(transform))  # type: ignore[no-untyped-call]
    resampled = warp(  # type: ignore[no-untyped-call]
        image.astype(wide), inverse, output_shape=shape, order=3, cval=math.nan, clip=False, preserve_range=True
    )
    return np.asarray(resampled, wide)
