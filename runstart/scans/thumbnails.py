"""Pictures of a scan so small that Dagster's pages show them in place: the larger ones are in `pictures`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runstart.scans._display import (
    Limits,
    deflections,
    deviation_limits,
    pattern_limits,
    robust_limits,
    shrink,
)
from runstart.scans.model import ScanProduct

__all__ = ["scan_thumbnails"]

_SIDE = 128  # values along a side, at most
_MOST_IMAGES = 4
_LONGEST_RATIO = 4
_MISSING = (205, 210, 216)  # as in the pictures
_GAP = 2


def scan_thumbnails(product: ScanProduct) -> dict[str, str]:
    """Return markdown with a small picture of each asset of a scan, shorter than 1,000 characters.

    Parameters
    ----------
    product : ScanProduct
        Of a scan, finished or not.

    Returns
    -------
    dict of str to str
        `counted_scan` (electrons of each position, or its frames if they were not counted), `center_of_mass` (along
        columns, along rows), `virtual_images` (up to four; only if there are detectors), `phase`,
        `diffraction_pattern`.
    """
    counts = _counts(product)
    parts = deflections(product.center_of_mass)
    thumbnails = {
        "counted_scan": _markdown("counted scan", [_colored(counts, robust_limits(counts), "viridis")]),
        "center_of_mass": _markdown(
            "centre of mass", [_colored(part, deviation_limits(part), "RdBu_r") for part in parts]
        ),
        "phase": _markdown("phase", [_colored(product.phase, robust_limits(product.phase), "cividis")]),
        "diffraction_pattern": _markdown("diffraction pattern", [_pattern(product.pattern)]),
    }
    images = list(product.virtual_images.values())[:_MOST_IMAGES]
    if images:
        colored = [_colored(image, robust_limits(image), "viridis") for image in images]
        thumbnails["virtual_images"] = _markdown("virtual images", colored)
    return thumbnails


def _counts(product: ScanProduct) -> NDArray[np.float64]:
    """Return the electrons of each position, or its frames; NaN where there is no frame."""
    frames = product.frame_counts.astype(np.float64)
    counts = frames
    if product.events is not None:
        placed = product.events.positions >= 0
        electrons = np.diff(product.events.starts)[placed]
        positions = product.events.positions[placed]
        counts = np.asarray(np.bincount(positions, electrons, frames.size).reshape(frames.shape), np.float64)
    return np.where(frames > 0, counts, np.nan)


def _pattern(pattern: NDArray[Any]) -> NDArray[np.uint8]:
    limits, log = pattern_limits(pattern)
    if not pattern.any():
        return _colored(np.full(pattern.shape, np.nan), limits, "magma")
    if not log:
        return _colored(pattern, limits, "magma")
    levels = np.log10(np.maximum(shrink(pattern, (_SIDE, _SIDE))[0], limits[0]))
    return _colored(levels, (math.log10(limits[0]), math.log10(limits[1])), "magma")


def _colored(values: NDArray[Any], limits: Limits, colors: str) -> NDArray[np.uint8]:
    """Return the colours of a map, uint8 of shape (rows, columns, 3): missing values are grey, thin maps are widened."""
    from matplotlib import colormaps

    shown = shrink(values, (_SIDE, _SIDE))[0]
    levels = (shown - limits[0]) / (limits[1] - limits[0])
    known = np.isfinite(levels)
    picture: NDArray[np.uint8] = colormaps[colors](np.where(known, levels, 0.0), bytes=True)[..., :3]
    picture[~known] = _MISSING
    rows, columns = known.shape
    for axis, (side, other) in enumerate(((rows, columns), (columns, rows))):
        picture = np.repeat(picture, max(1, -(-other // (_LONGEST_RATIO * side))), axis)
    return picture


def _markdown(title: str, pictures: list[NDArray[np.uint8]]) -> str:
    """Return markdown with pictures of one size side by side, wide ones below each other."""
    from PIL import Image

    from runstart.product import small_picture

    rows, columns = pictures[0].shape[:2]
    axis = 0 if columns > 2 * rows else 1
    gap = np.full((_GAP, columns, 3) if axis == 0 else (rows, _GAP, 3), 255, np.uint8)
    beside = [part for picture in pictures for part in (gap, picture)][1:]
    whole = np.ascontiguousarray(np.concatenate(beside, axis))
    return small_picture(Image.fromarray(whole)).as_markdown(title)
