"""The filters that a simulated night knows, with round values of a 1 m telescope under a dark sky."""

from __future__ import annotations

from typing import NamedTuple


class Band(NamedTuple):
    """What a filter does to light.

    Parameters
    ----------
    zero_point : float
        Magnitude of a star that gives one electron a second.
    colour_term : float
        `m - r = colour_term * (g - r)` for the stars of the simulation.
    sky : float
        Brightness of the moonless sky, in magnitudes per square arcsecond.
    """

    zero_point: float
    colour_term: float
    sky: float


BANDS = {
    "up": Band(22.4, 2.4, 22.6),
    "gp": Band(24.2, 1.0, 22.0),
    "rp": Band(24.0, 0.0, 21.1),
    "ip": Band(23.6, -0.4, 20.2),
    "zs": Band(22.7, -0.6, 19.2),
    "U": Band(22.0, 2.2, 22.2),
    "B": Band(23.7, 1.2, 22.3),
    "V": Band(23.9, 0.45, 21.6),
    "R": Band(24.0, -0.15, 20.9),
    "I": Band(23.3, -0.7, 19.8),
    "w": Band(25.2, 0.25, 21.3),
}
