"""FITS files of a night's sky, for the benchmarks of stacks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from astropy.io import fits

_SKY, _NOISE, _HITS, _HIT = 1000.0, 12.0, 0.001, 800.0


def write_exposures(folder: Path, n: int, side: int, dtype: str, nan_share: float = 0.0) -> list[Path]:
    """Write images of sky noise with cosmic rays and return their paths.

    Parameters
    ----------
    folder : Path
        Must exist.
    n : int
        How many.
    side : int
        Rows and columns of each.
    dtype : str
        `float32` or `uint16`.
    nan_share : float
        How much of a float image is NaN.
    """
    rng = np.random.default_rng(20260101)
    paths = []
    for k in range(n):
        image = rng.standard_normal((side, side), np.float32) * np.float32(_NOISE) + np.float32(_SKY)
        image[rng.random(image.shape, np.float32) < _HITS] += np.float32(_HIT)
        if nan_share:
            image[rng.random(image.shape, np.float32) < nan_share] = np.nan
        path = folder / f"{dtype}-{nan_share}-{k:03d}.fits"
        fits.PrimaryHDU(image.astype(dtype)).writeto(path)
        paths.append(path)
    return paths
