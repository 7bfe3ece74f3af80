"""Stars and galaxies of an image as a table: where they are, how bright, how wide (SEP, as SExtractor does it).

Fluxes are sums over a circle of 1.5 times the median full width at half maximum of the image's sources, the same
for all, so that they compare: 99.8 % of a Gaussian star. Positions are centroids weighted with a Gaussian window.
Widths are twice the radius of half the light, which for a Gaussian is the full width at half maximum.
"""

from __future__ import annotations

import enum
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from runstart.errors import Alert
from runstart.images._checks import as_float32, as_image, as_mask, check_same_shape
from runstart.images.quality import robust_noise

if TYPE_CHECKING:
    import numpy.typing as npt
    from astropy.wcs import WCS

    Floats = npt.NDArray[np.float64]

__all__ = ["SOURCE_DTYPE", "SourceFlag", "extract_sources", "measure_seeing"]

SOURCE_DTYPE = np.dtype(
    [
        ("x", "f8"),  # column, 1 in the middle of the first pixel (FITS)
        ("y", "f8"),  # row, likewise
        ("ra", "f8"),  # right ascension, ICRS, degrees; NaN without a WCS
        ("dec", "f8"),  # declination, ICRS, degrees; NaN without a WCS
        ("flux", "f8"),  # electrons above the sky
        ("flux_err", "f8"),  # one standard deviation, electrons
        ("peak", "f8"),  # brightest pixel, electrons above the sky
        ("fwhm", "f8"),  # full width at half maximum, pixels; NaN if it could not be measured
        ("ellipticity", "f8"),  # 1 - minor axis / major axis
        ("flag", "u2"),  # bits of SourceFlag; 0 is good
    ]
)
"""Columns of a source catalogue."""

_LEAST_SIDE = 8
_LEAST_PIXELS = 5  # of a source
_MOST_ABOVE = 0.5  # of all pixels
_APERTURE_FWHM = 1.5
_APERTURE_IF_UNKNOWN = 5.0  # pixels
_ROUNDISH = 0.5
_PIXEL_STACK = 300_000
_MOST_CHILDREN = 8192  # of one blend
_SEEING_LEAST = 3
_SEEING_SIGNAL = 20.0
_SEEING_ELLIPTICITY = 0.3


class SourceFlag(enum.IntFlag):
    """What makes a source's numbers doubtful."""

    BLENDED = 1
    """It was separated from a neighbour."""
    AT_EDGE = 2
    """It, or its circle, reaches beyond the image."""
    MASKED = 4
    """Its circle holds masked pixels; the flux is scaled by the area that is left."""
    UNMEASURED = 8
    """Width or flux could not be measured."""


def extract_sources(
    data: npt.ArrayLike,
    *,
    mask: npt.ArrayLike | None = None,
    uncertainty: npt.ArrayLike | None = None,
    threshold: float = 5.0,
    wcs: WCS | None = None,
    gain: float = 1.0,
    aperture_radius: float | None = None,
    most: int = 10_000,
) -> npt.NDArray[Any]:
    """Return the catalogue of an image's sources, the brightest first.

    Parameters
    ----------
    data : real[rows, columns]
        Without sky (see `subtract_background`); at least 8 pixels along both sides.
    mask : bool or uint16[rows, columns], optional
        What is not 0 is not used; nor is what is not finite.
    uncertainty : real[rows, columns], optional
        One standard deviation of each pixel, in the unit of the data, with everything in it. None: the noise of the
        image, and shot noise for the fluxes.
    threshold : float
        How many standard deviations a source's pixels are above the sky.
    wcs : astropy.wcs.WCS, optional
        For `ra` and `dec`.
    gain : float
        Electrons per unit of the data: 1 for a calibrated frame.
    aperture_radius : float, optional
        In pixels; None: 1.5 times the median width of the sources.
    most : int
        Sources at most, the brightest ones.

    Returns
    -------
    structured[n] of SOURCE_DTYPE
        Brightest first; empty if there is no source, or if the image is constant.

    Raises
    ------
    Alert
        It is no image, too small, nothing of it is good, or it is too crowded; a number is outside its range.
    """
    image = as_image(data)
    check_same_shape(image.shape, uncertainty=uncertainty)
    _check_numbers(threshold, gain, aperture_radius, most)
    if min(image.shape) < _LEAST_SIDE:
        message = f"an image of {image.shape[0]} x {image.shape[1]} pixels is too small to find sources in."
        raise Alert(message, f"It needs {_LEAST_SIDE} pixels along both sides.")
    values = as_float32(image) * np.float32(gain)
    ignored = as_mask(mask, image.shape) | ~np.isfinite(values)
    noise: npt.NDArray[np.float32] | float
    if uncertainty is not None:
        noise = as_float32(np.asarray(uncertainty)) * np.float32(gain)
        ignored |= ~(np.isfinite(noise) & (noise > 0))
        noise[ignored] = 1
    if ignored.all():
        message = "the image has no good pixel to find sources in."
        raise Alert(message, "Check the frame and its mask.")
    if uncertainty is None:
        noise = robust_noise(values[~ignored])
        if noise == 0:
            return np.empty(0, SOURCE_DTYPE)
    values[ignored] = 0
    objects, segments = _detect(values, noise, ignored, threshold)
    table = _measure(objects, segments, values, noise, ignored, aperture_radius, add_shot_noise=uncertainty is None)
    table = table[np.argsort(-table["flux"], kind="stable")][:most]
    if wcs is not None and table.size:
        table["ra"], table["dec"] = _sky_positions(table, wcs)
    return table


def measure_seeing(sources: npt.NDArray[Any], pixel_scale: float) -> float:
    """Return the median width of the good stars of a catalogue.

    Good are those that are not flagged, round (ellipticity below 0.3), and 20 times brighter than their uncertainty.

    Parameters
    ----------
    sources : structured[n] of SOURCE_DTYPE
        As `extract_sources` returns it.
    pixel_scale : float
        Arcseconds per pixel.

    Returns
    -------
    float
        Full width at half maximum in arcseconds; NaN if fewer than three stars are good.
    """
    good = (
        (sources["flag"] == 0)
        & (sources["ellipticity"] < _SEEING_ELLIPTICITY)
        & (sources["flux"] > _SEEING_SIGNAL * sources["flux_err"])
        & np.isfinite(sources["fwhm"])
    )
    if np.count_nonzero(good) < _SEEING_LEAST:
        return math.nan
    return float(np.median(sources["fwhm"][good])) * pixel_scale


def _detect(
    values: npt.NDArray[np.float32],
    noise: npt.NDArray[np.float32] | float,
    ignored: npt.NDArray[np.bool_],
    threshold: float,
) -> tuple[npt.NDArray[Any], npt.NDArray[np.int32]]:
    """Return SEP's objects, and which pixel belongs to which, counted from 1."""
    import sep

    n_above = int(np.count_nonzero(values > threshold * noise))
    if n_above > _MOST_ABOVE * values.size:
        message = (
            f"{n_above / values.size:.0%} of the image is above the threshold of {threshold:g} sigma: too crowded."
        )
        raise Alert(message, "Subtract the background first, or raise the threshold.")
    # The filter that SEP applies makes more pixels significant than are now.
    sep.set_extract_pixstack(min(values.size, max(_PIXEL_STACK, 8 * n_above)) + 1)
    sep.set_sub_object_limit(_MOST_CHILDREN)
    try:
        objects, segments = sep.extract(
            values, threshold, err=noise, mask=ignored, minarea=_LEAST_PIXELS, segmentation_map=True
        )
    except Exception as error:
        if type(error) is not Exception:  # SEP has no class of its own for its limits
            raise
        message = f"the image is too crowded to separate its sources ({error})."
        raise Alert(message, "Raise the threshold, or cut the image into smaller ones.") from error
    return objects, segments


def _measure(
    objects: npt.NDArray[Any],
    segments: npt.NDArray[np.int32],
    values: npt.NDArray[np.float32],
    noise: npt.NDArray[np.float32] | float,
    ignored: npt.NDArray[np.bool_],
    aperture_radius: float | None,
    *,
    add_shot_noise: bool,
) -> npt.NDArray[Any]:
    """Return the catalogue of SEP's objects, without positions on the sky."""
    import sep

    table = np.zeros(len(objects), SOURCE_DTYPE)
    table["ra"] = table["dec"] = np.nan
    if not len(objects):
        return table
    half_light, wide_flags = sep.flux_radius(
        values,
        objects["x"],
        objects["y"],
        6 * np.maximum(objects["a"], 0.5),
        0.5,
        mask=ignored,
        segmap=segments,  # without the light of neighbours
        seg_id=np.arange(1, len(objects) + 1, dtype=np.int32),
    )
    measured = (half_light > 0) & (half_light < min(values.shape) / 4) & (wide_flags & sep.APER_NONPOSITIVE == 0)
    table["fwhm"] = np.where(measured, 2 * half_light, np.nan)
    x, y = _centroids(values, objects, np.where(measured, half_light, 1.0), ignored)
    table["x"], table["y"] = x + 1, y + 1
    if aperture_radius is None:
        aperture_radius = _aperture_radius(table["fwhm"], objects)
    gain = {"gain": 1.0} if add_shot_noise else {}
    flux, flux_err, flags = sep.sum_circle(values, x, y, aperture_radius, err=noise, mask=ignored, subpix=0, **gain)
    table["flux"], table["flux_err"] = flux, flux_err
    table["peak"] = objects["peak"]
    table["ellipticity"] = 1 - objects["b"] / objects["a"]
    flag = table["flag"]
    flag[objects["flag"] & (sep.OBJ_MERGED | sep.OBJ_DOVERFLOW) != 0] |= np.uint16(SourceFlag.BLENDED)
    flag[(objects["flag"] & sep.OBJ_TRUNC != 0) | (flags & sep.APER_TRUNC != 0)] |= np.uint16(SourceFlag.AT_EDGE)
    flag[flags & (sep.APER_HASMASKED | sep.APER_ALLMASKED) != 0] |= np.uint16(SourceFlag.MASKED)
    flag[~measured | ~np.isfinite(flux)] |= np.uint16(SourceFlag.UNMEASURED)
    return table


def _aperture_radius(fwhm: Floats, objects: npt.NDArray[Any]) -> float:
    """Return 1.5 times the median width of whole, roundish sources; of all that were measured if there are none."""
    measured = np.isfinite(fwhm)
    for usable in (measured & (objects["flag"] == 0) & (objects["b"] > _ROUNDISH * objects["a"]), measured):
        if usable.any():
            return _APERTURE_FWHM * float(np.median(fwhm[usable]))
    return _APERTURE_IF_UNKNOWN


def _centroids(
    values: npt.NDArray[np.float32], objects: npt.NDArray[Any], half_light: Floats, ignored: npt.NDArray[np.bool_]
) -> tuple[Floats, Floats]:
    """Return windowed positions; plain barycentres where the window wandered off to a neighbour."""
    import sep

    x, y, _ = sep.winpos(values, objects["x"], objects["y"], 2 / 2.35 * half_light, mask=ignored)
    near = np.hypot(x - objects["x"], y - objects["y"]) <= np.maximum(1.0, half_light)
    return np.where(near, x, objects["x"]), np.where(near, y, objects["y"])


def _sky_positions(table: npt.NDArray[Any], wcs: WCS) -> tuple[Floats, Floats]:
    if not wcs.has_celestial:
        message = "the WCS of the image has no position on the sky."
        raise Alert(message, "Solve its astrometry first, or leave the WCS away.")
    plane = wcs if wcs.naxis == 2 else wcs.celestial
    sky = plane.pixel_to_world(table["x"] - 1, table["y"] - 1).icrs
    return sky.ra.deg, sky.dec.deg


def _check_numbers(threshold: float, gain: float, aperture_radius: float | None, most: int) -> None:
    values = {
        "threshold": threshold,
        "gain": gain,
        "number of sources": most,
        "radius of the circle": aperture_radius,
    }
    for name, value in values.items():
        if value is not None and not (math.isfinite(value) and value > 0):
            message = f"the {name} is {value}."
            raise Alert(message, "Give a finite number above 0.")
