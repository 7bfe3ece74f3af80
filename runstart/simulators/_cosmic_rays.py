"""Cosmic rays: muons that leave a dot or a straight track of electrons, whatever the telescope looks at."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_RATE = 5e-7  # per pixel and second
_SHARE_OF_DOTS = 0.6
_TRACK_PX = 9.0
_LONGEST_PX = 80.0
_STEP_PX = 0.25
_ELECTRONS_PER_PX = 700.0


def add_cosmic_rays(electrons: NDArray[np.float32], exposure_time_s: float, rng: np.random.Generator) -> int:
    """Add the cosmic rays of an exposure in place.

    Parameters
    ----------
    electrons : float32[rows, columns]
    exposure_time_s : float
    rng : numpy.random.Generator

    Returns
    -------
    int
        How many there were.
    """
    rows, columns = electrons.shape
    n_rays = int(rng.poisson(_RATE * electrons.size * exposure_time_s))
    for _ in range(n_rays):
        is_dot = rng.random() < _SHARE_OF_DOTS
        length = rng.uniform(0.3, 1.5) if is_dot else 2 + min(rng.exponential(_TRACK_PX), _LONGEST_PX)
        along = np.arange(0, length, _STEP_PX)
        angle = rng.uniform(0, 2 * np.pi)
        y = np.floor(rng.uniform(0, rows) + along * np.sin(angle)).astype(int)
        x = np.floor(rng.uniform(0, columns) + along * np.cos(angle)).astype(int)
        inside = (y >= 0) & (y < rows) & (x >= 0) & (x < columns)
        # A track's ionisation fluctuates along it; a dot comes down steeply and leaves more.
        mean = _ELECTRONS_PER_PX * _STEP_PX * rng.lognormal(0.8 if is_dot else 0.0, 0.5)
        left = mean * rng.gamma(1.0, 1.0, along.size)
        np.add.at(electrons, (y[inside], x[inside]), np.rint(left[inside]).astype(np.float32))
    return n_rays
