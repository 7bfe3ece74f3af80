"""The simulated sky: fields of stars that are the same every night, and the sky's own light.

Stars follow a power law in flux and have a colour. They are imaged as Moffat profiles with beta = 3, integrated over
the pixels by two-point Gauss-Legendre quadrature in each axis.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runstart.simulators._bands import BANDS
from runstart.simulators._camera import PIXEL_SCALE_ARCSEC
from runstart.simulators._night_schedule import Field
from runstart.simulators._randomness import generator

__all__ = ["Stars", "add_stars", "field_stars", "field_wcs", "sky_rate"]

_STARS_PER_PIXEL = 350 / 512**2
_FEWEST_STARS = 12
_BRIGHTEST, _FAINTEST = 14.0, 21.5  # r magnitudes
_SLOPE = 0.22  # log10 of the number per magnitude
_MARGIN = 0.06  # of the longer side: what dithering and rotation bring in
_STAMP_FWHM = 8.0  # half width; 0.1 per mille of a star's light falls outside
_GAUSS_NODE = 0.5 / np.sqrt(3)


@dataclass(frozen=True, slots=True)
class Stars:
    """The stars of a field.

    Parameters
    ----------
    ra_deg, dec_deg : float64[n_stars]
    r_magnitude, colour : float64[n_stars]
        Magnitude in r, and g - r.
    """

    ra_deg: NDArray[np.float64]
    dec_deg: NDArray[np.float64]
    r_magnitude: NDArray[np.float64]
    colour: NDArray[np.float64]

    def electrons_per_s(self, filter_name: str) -> NDArray[np.float64]:
        """Return what a clear sky gives in a filter, float64[n_stars]."""
        band = BANDS[filter_name]
        magnitude = self.r_magnitude + band.colour_term * self.colour
        return np.asarray(10 ** (0.4 * (band.zero_point - magnitude)))


def field_wcs(ra_deg: float, dec_deg: float, rotation_deg: float, shape: tuple[int, int]) -> Any:
    """Return the tangential WCS of a camera whose centre points at a position; unrotated, north is up and east left.

    Parameters
    ----------
    ra_deg, dec_deg, rotation_deg : float
    shape : (int, int)
        Rows and columns.

    Returns
    -------
    astropy.wcs.WCS
    """
    from astropy.wcs import WCS

    angle = np.deg2rad(rotation_deg)
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.cunit = ["deg", "deg"]
    wcs.wcs.radesys = "ICRS"
    wcs.wcs.crval = [ra_deg, dec_deg]
    wcs.wcs.crpix = [(shape[1] + 1) / 2, (shape[0] + 1) / 2]
    scale = PIXEL_SCALE_ARCSEC / 3600
    wcs.wcs.cd = scale * np.array([[-np.cos(angle), np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    wcs.wcs.set()
    return wcs


def field_stars(field: Field, shape: tuple[int, int], seed: int) -> Stars:
    """Return the stars of a field and of a margin around it.

    Parameters
    ----------
    field : Field
    shape : (int, int)
        Rows and columns of the camera.
    seed : int

    Returns
    -------
    Stars
        Brightest first.
    """
    rng = generator("stars", seed, field.name, shape)
    margin = _MARGIN * max(shape) + 8
    rows, columns = shape[0] + 2 * margin, shape[1] + 2 * margin
    n_stars = max(_FEWEST_STARS, round(_STARS_PER_PIXEL * rows * columns))
    x = rng.uniform(-margin, shape[1] + margin, n_stars)
    y = rng.uniform(-margin, shape[0] + margin, n_stars)
    ra, dec = field_wcs(field.ra_deg, field.dec_deg, 0.0, shape).wcs_pix2world(x, y, 0)
    # The inverse of the cumulative distribution of an exponential between two magnitudes.
    most = 10 ** (_SLOPE * (_FAINTEST - _BRIGHTEST))
    magnitude = _BRIGHTEST + np.log10(1 + rng.random(n_stars) * (most - 1)) / _SLOPE
    colour = np.clip(rng.normal(0.6, 0.35, n_stars), 0.0, 1.8)
    return Stars(ra, dec, np.sort(magnitude), colour)


def sky_rate(filter_name: str) -> float:
    """Return the electrons a second and pixel of the dark sky."""
    band = BANDS[filter_name]
    return float(10 ** (0.4 * (band.zero_point - band.sky)) * PIXEL_SCALE_ARCSEC**2)


def add_stars(
    image: NDArray[np.float64],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    electrons: NDArray[np.float64],
    fwhm_px: float,
) -> None:
    """Add stars to an image in place.

    Parameters
    ----------
    image : float64[rows, columns]
    x, y : float64[n_stars]
        Positions; the centre of the first pixel is 0.
    electrons : float64[n_stars]
    fwhm_px : float
    """
    half = max(6, int(np.ceil(_STAMP_FWHM * fwhm_px)))
    alpha2 = (fwhm_px / 2) ** 2 / (2 ** (1 / 3) - 1)
    rows, columns = image.shape
    near = (x > -half) & (x < columns + half) & (y > -half) & (y < rows + half)
    for star_x, star_y, flux in zip(x[near], y[near], electrons[near], strict=True):
        first_y, first_x = max(0, round(star_y) - half), max(0, round(star_x) - half)
        part = image[first_y : round(star_y) + half + 1, first_x : round(star_x) + half + 1]
        from_y = np.arange(first_y, first_y + part.shape[0]) - star_y
        from_x = np.arange(first_x, first_x + part.shape[1]) - star_x
        # beta = 3: the total is pi alpha^2 / 2; each of the four nodes of a pixel has a quarter of its weight.
        height = flux / (2 * np.pi * alpha2)
        for node_y in (-_GAUSS_NODE, _GAUSS_NODE):
            rise = 1 + (from_y + node_y) ** 2 / alpha2
            for node_x in (-_GAUSS_NODE, _GAUSS_NODE):
                profile = rise[:, None] + (from_x + node_x)[None, :] ** 2 / alpha2
                part += height / (profile * profile * profile)
