"""Adding images that were taken of different places, onto one grid of the sky.

The grid is the smallest that holds all images, at the finest of their scales. Each image is resampled adaptively
(C. E. DeForest, Solar Physics 219 (2004) 3), so that flux is conserved. The sum is cut to where all images are.

Of each image's part of the grid, that edge is taken off that has the largest share of pixels without coverage,
again and again, until no edge has any; the boxes of all images are intersected. Coverage is that of the frame: a
dead pixel or column inside does not cut the box, and is filled from its neighbours within the resampling kernel.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from runstart.errors import Alert
from runstart.images._checks import as_images

if TYPE_CHECKING:
    import numpy.typing as npt
    from astropy.io.fits import Header
    from astropy.wcs import WCS

    Floats = npt.NDArray[np.float64]
    Box = tuple[int, int, int, int]

__all__ = ["reproject_and_sum"]

_MOST_PIXELS = 1 << 28
_BYTES_A_PIXEL = 40  # of the grid: the sum, and image, footprint and their copies of one at a time
_FARTHEST_DEG = 60.0
_WCS_KEYWORD = re.compile(
    r"WCSAXES[A-Z]?|WCSNAME[A-Z]?|(CTYPE|CRVAL|CRPIX|CDELT|CUNIT|CROTA|CNAME)\d[A-Z]?|(CD|PC|PV|PS)\d_\d+[A-Z]?"
    r"|(A|B|AP|BP)_(ORDER|DMAX|\d_\d)|(LONPOLE|LATPOLE|RADESYS|EQUINOX)[A-Z]?|RADECSYS|EPOCH"
    r"|(CPDIS|CQDIS|CPERR|CQERR|D2IMDIS|D2IMERR)\d|(DP|DQ|D2IM)\d.*|D2IMARR|D2IMEXT|AXISCORR"
)


def reproject_and_sum(
    images: Sequence[npt.ArrayLike],
    headers: Sequence[Header],
    on_progress: Callable[[float], None] | None = None,
    memory_limit: int | None = None,
) -> tuple[Floats, Header]:
    """Return the sum of images on a common grid of the sky, where all of them are, and its header.

    Parameters
    ----------
    images : sequence of real[rows, columns]
        What is not finite is ignored.
    headers : sequence of Header
        One for each image, with a celestial WCS; SIP distortion counts.
    on_progress : callable, optional
        Called with the fraction done, above 0 up to 1, after each image.
    memory_limit : int, optional
        Bytes that the grid and what is computed on it may take, about 40 a pixel; None: any number.

    Returns
    -------
    total : float64[rows, columns]
        In the unit of the images; 0 where nothing is finite.
    header : Header
        The first one's, with the WCS of the sum.

    Raises
    ------
    Alert
        There is no image, one has no celestial WCS, they do not overlap, or the grid is too large or does not
        fit into the memory limit.
    """
    from reproject.mosaicking import find_optimal_celestial_wcs

    arrays = as_images(images)
    if len(headers) != len(arrays):
        message = f"there are {len(headers)} headers for {len(arrays)} images."
        raise Alert(message, "Give one for each image.")
    systems = [_celestial(header, number) for number, header in enumerate(headers, 1)]
    _check_places([array.shape for array in arrays], systems)
    grid, size = find_optimal_celestial_wcs(
        [(array.shape, system) for array, system in zip(arrays, systems, strict=True)], negative_lon_cdelt=True
    )
    shape = (int(size[0]), int(size[1]))
    # Far-apart images would make a huge grid, only to be refused in the end.
    _intersect([_outline(a.shape, system, grid) for a, system in zip(arrays, systems, strict=True)])
    if shape[0] * shape[1] > _MOST_PIXELS:
        message = f"the images need a common grid of {shape[0]} x {shape[1]} pixels."
        raise Alert(message, "Leave out the one with the finest pixels, or images far from the others.")
    needed = shape[0] * shape[1] * _BYTES_A_PIXEL
    if memory_limit is not None and needed > memory_limit:
        raise Alert(
            f"The images need a common grid of {shape[0]} x {shape[1]} pixels, about {needed:,} bytes; memory_limit is "
            f"{memory_limit:,}.",
            "Allow more, leave out the image with the finest pixels or those far from the others, or use Mean Stack.",
        )
    total = np.zeros(shape)
    boxes = []
    for done, (array, system) in enumerate(zip(arrays, systems, strict=True), 1):
        values, covered = _reproject(array, system, grid, shape)
        total += np.where(np.isfinite(values), values, 0)
        boxes.append(_covered_box(covered))
        if on_progress is not None:
            on_progress(done / len(arrays))
    top, bottom, left, right = _intersect(boxes)
    return total[top:bottom, left:right].copy(), _merge(headers[0], grid, left, top)


def _celestial(header: Header, number: int) -> WCS:
    """Return the two-dimensional celestial WCS of a header."""
    from astropy.wcs import WCS, FITSFixedWarning, WcsError

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FITSFixedWarning)  # says that it mended the spelling of a date
        try:
            system = WCS(header)
            plane = system.celestial if system.has_celestial else None
            if plane is not None:
                plane.wcs.set()
        except WcsError as error:
            why = [line.rstrip(".") for line in str(error).splitlines() if line and not line.startswith("ERROR")]
            message = f"the WCS of image {number} is wrong: {'; '.join(why)[:200]}."
            raise Alert(message, "Solve its astrometry again, or leave it out.") from error
    if plane is None:
        message = f"image {number} has no celestial WCS."
        raise Alert(message, "Solve its astrometry first, leave it out, or stack without reprojection.")
    return system if system.naxis == 2 else plane


def _check_places(shapes: list[tuple[int, ...]], systems: list[WCS]) -> None:
    """Raise an Alert if an image is nowhere on the sky, or too far from the first for a common projection."""
    first = None
    for number, ((rows, columns), system) in enumerate(zip(shapes, systems, strict=True), 1):
        x, y = np.array([0, 0, columns, columns]) - 0.5, np.array([0, rows, 0, rows]) - 0.5
        corners = system.pixel_to_world(x, y).icrs
        if not corners[0].separation(corners[1:]).deg.min() > 0:  # nor if it is NaN
            message = f"the WCS of image {number} gives its corners no place on the sky."
            raise Alert(message, "Solve its astrometry again, or leave it out.")
        first = corners[0] if first is None else first
        if first.separation(corners).deg.min() > _FARTHEST_DEG:
            raise _no_overlap()


def _outline(shape: tuple[int, ...], system: WCS, grid: WCS) -> Box:
    """Return the box on the grid that holds the border of an image, in whole pixels outwards."""
    rows, columns = shape
    x = np.concatenate([np.linspace(-0.5, columns - 0.5, 33)] * 2 + [np.full(33, -0.5), np.full(33, columns - 0.5)])
    y = np.concatenate([np.full(33, -0.5), np.full(33, rows - 0.5)] + [np.linspace(-0.5, rows - 0.5, 33)] * 2)
    x, y = (np.asarray(axis) for axis in grid.world_to_pixel(system.pixel_to_world(x, y)))
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        return 0, _MOST_PIXELS, 0, _MOST_PIXELS
    return int(np.floor(y.min())), int(np.ceil(y.max())) + 1, int(np.floor(x.min())), int(np.ceil(x.max())) + 1


def _reproject(
    array: npt.NDArray[Any], system: WCS, grid: WCS, shape: tuple[int, int]
) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Return an image on the grid, and where the frame reaches."""
    from reproject import reproject_adaptive

    values = array.astype(np.float64)
    finite = np.isfinite(values)
    planes = values
    if not finite.all():
        values[~finite] = np.nan
        planes = np.stack([values, np.zeros(values.shape)])
    resampled, footprint = reproject_adaptive(
        (planes, system), grid, shape_out=shape, conserve_flux=True, bad_value_mode="ignore"
    )
    if planes.ndim == 2:
        return resampled, (footprint > 0) & np.isfinite(resampled)
    return resampled[0], (footprint[1] > 0) & np.isfinite(resampled[1])


def _covered_box(covered: npt.NDArray[np.bool_]) -> Box:
    """Return the box (top, bottom, left, right) whose edges are all covered; an empty one if there is none."""
    rows, columns = np.flatnonzero(covered.any(axis=1)), np.flatnonzero(covered.any(axis=0))
    if not rows.size:
        return 0, 0, 0, 0
    top, bottom, left, right = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    while top < bottom and left < right:
        edges = (
            covered[top, left:right],
            covered[bottom - 1, left:right],
            covered[top:bottom, left],
            covered[top:bottom, right - 1],
        )
        missing = [1 - float(edge.mean()) for edge in edges]
        worst = int(np.argmax(missing))
        if missing[worst] == 0:
            break
        top, bottom = top + (worst == 0), bottom - (worst == 1)
        left, right = left + (worst == 2), right - (worst == 3)
    return top, bottom, left, right


def _intersect(boxes: list[Box]) -> Box:
    top, left = (max(box[i] for box in boxes) for i in (0, 2))
    bottom, right = (min(box[i] for box in boxes) for i in (1, 3))
    if top >= bottom or left >= right:
        raise _no_overlap()
    return top, bottom, left, right


def _no_overlap() -> Alert:
    return Alert("the images do not overlap on the sky.", "Leave out those that show another place.")


def _merge(first: Header, grid: WCS, left: int, top: int) -> Header:
    """Return a copy of a header with the WCS of the grid, from a pixel on."""
    header = first.copy()
    for keyword in {keyword for keyword in header if _WCS_KEYWORD.fullmatch(keyword)}:
        header.remove(keyword, remove_all=True)
    system = grid.to_header()
    system["CRPIX1"] -= left
    system["CRPIX2"] -= top
    header.update(system)
    return header
