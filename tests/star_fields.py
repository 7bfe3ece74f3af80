"""Fields of Gaussian stars with known places, fluxes and noise."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy.special import erf


class Field(NamedTuple):
    image: np.ndarray[Any, Any]
    x: np.ndarray[Any, Any]  # FITS pixels
    y: np.ndarray[Any, Any]
    flux: np.ndarray[Any, Any]


def add_stars(image: np.ndarray[Any, Any], x: Any, y: Any, flux: Any, fwhm: float) -> None:
    """Add stars at FITS pixels, integrated over each pixel."""
    sigma = fwhm / 2.3548200450309493 * np.sqrt(2)
    rows, columns = (np.arange(n + 1) - 0.5 for n in image.shape)
    for star_x, star_y, star_flux in zip(x, y, flux, strict=True):
        across = np.diff(erf((columns - (star_x - 1)) / sigma)) / 2
        along = np.diff(erf((rows - (star_y - 1)) / sigma)) / 2
        image += star_flux * np.outer(along, across)


def star_field(
    *,
    shape: tuple[int, int] = (200, 240),
    side: int = 5,
    fwhm: float = 3.0,
    sky: float = 400.0,
    read_noise: float = 5.0,
    fluxes: tuple[float, float] = (3e3, 1e5),
    seed: int = 1,
) -> Field:
    """Return side x side stars, one in each cell of a grid but not in its middle, on a sky, in electrons."""
    rng = np.random.default_rng(seed)
    rows, columns = shape
    cell_y, cell_x = np.divmod(np.arange(side * side), side)
    x = (cell_x + rng.uniform(0.3, 0.7, side * side)) * columns / side + 1
    y = (cell_y + rng.uniform(0.3, 0.7, side * side)) * rows / side + 1
    flux = np.geomspace(*fluxes, side * side)
    rng.shuffle(flux)
    image = np.full(shape, sky)
    add_stars(image, x, y, flux, fwhm)
    image = rng.poisson(image) + rng.normal(0, read_noise, shape)
    return Field(image.astype(np.float32), x, y, flux)
