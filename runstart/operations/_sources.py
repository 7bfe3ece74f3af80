"""The sources of an image with what follows from them: how sharp the image is, and how bright its sky."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from runstart.fits.camera_keywords import USUAL
from runstart.operations import _camera

if TYPE_CHECKING:
    import numpy.typing as npt
    from astropy.io.fits import Header


@dataclass(frozen=True, eq=False)
class Sources:
    """Sources of an image.

    Attributes
    ----------
    table : structured[n]
        As `runstart.images.extract_sources` returns it, the brightest first.
    figures : dict
        `sources`; `background`, the median of the sky; `seeing_arcsec`, or `seeing_pixels` without a WCS, if there
        are stars to measure it.
    """

    table: npt.NDArray[Any]
    figures: dict[str, Any]


def find_sources(
    data: npt.NDArray[Any],
    header: Header,
    name: str,
    *,
    uncertainty: npt.NDArray[Any] | None = None,
    mask: npt.NDArray[Any] | None = None,
    threshold: float = 5.0,
    gain_keywords: tuple[str, ...] = USUAL.gain,
) -> Sources:
    """Return the sources of an image that still has its sky.

    Parameters
    ----------
    data, uncertainty, mask : arrays[rows, cols]
    header : Header
        Its WCS, if it has one, gives positions on the sky; PIXSCALE stands in for the scale.
    name : str
        Of the file.
    threshold : float
        Standard deviations above the sky.
    gain_keywords : tuple of str
        Of the gain, for images in ADU.

    Raises
    ------
    Alert
        The image is too small or too crowded, or its WCS is wrong.
    """
    from astropy.wcs.utils import proj_plane_pixel_area

    from runstart.images import extract_sources, measure_seeing, subtract_background
    from runstart.operations._registration import find_wcs

    sky = subtract_background(data, mask)
    wcs = find_wcs(header, name)
    gain = _camera.number_of(header, gain_keywords, name)
    table = extract_sources(
        sky.subtracted,
        mask=mask,
        uncertainty=uncertainty,
        threshold=threshold,
        wcs=wcs,
        gain=1.0 if gain is None or gain <= 0 or _camera.is_in_electrons(header) else gain,
    )
    figures: dict[str, Any] = {"sources": len(table), "background": round(float(np.median(sky.background)), 4)}
    scale = _camera.number_of(header, ("PIXSCALE",), name)
    if wcs is not None:
        scale = 3600 * math.sqrt(proj_plane_pixel_area(wcs))
    seeing = measure_seeing(table, 1.0)
    if math.isfinite(seeing):
        unit, factor = ("pixels", 1.0) if scale is None else ("arcsec", scale)
        figures[f"seeing_{unit}"] = round(seeing * factor, 3)
    return Sources(table, figures)
