"""Shadows of dust: specks on the filters and the window, out of focus, are rings with the telescope's pupil in them."""

from __future__ import annotations

import datetime as dt

import numpy as np
from numpy.typing import NDArray

from runstart.simulators._randomness import generator

_EPOCH = dt.date(2020, 1, 1)
_SPECKS_PER_PIXEL = 9 / 512**2
_MOST_SPECKS = 60
_CREEP = 0.15  # pixels a night
_PUPIL = 0.42  # radius of the secondary mirror's shadow, of the whole


def dust_shadow(site: str, filter_name: str, shape: tuple[int, int], date: dt.date) -> NDArray[np.float64]:
    """Return the share of the light that dust lets through.

    Parameters
    ----------
    site, filter_name : str
        Two thirds of the specks lie on the window; the others on the filter.
    shape : (int, int)
        Rows and columns.
    date : datetime.date
        Specks creep a few pixels a month.

    Returns
    -------
    float64[rows, columns]
    """
    light = np.ones(shape)
    n_specks = int(np.clip(round(_SPECKS_PER_PIXEL * shape[0] * shape[1]), 3, _MOST_SPECKS))
    n_filter = n_specks // 3
    _add_specks(light, n_specks - n_filter, date, "window", site, shape)
    _add_specks(light, n_filter, date, "filter", site, shape, filter_name)
    return light


def _add_specks(light: NDArray[np.float64], n_specks: int, date: dt.date, *names: object) -> None:
    rng = generator("dust", *names)
    # A speck that leaves on one side comes back on the other, out of sight.
    margin = 30.0
    room = np.array(light.shape) + 2 * margin
    scale = np.clip(min(light.shape), 96, 512) / 512
    for _ in range(n_specks):
        place = rng.uniform(0, 1, 2) * room
        creep = rng.uniform(-_CREEP, _CREEP, 2) * (date - _EPOCH).days
        radius = float(rng.uniform(9, 24)) * scale
        depth = float(rng.uniform(0.02, 0.07))
        _add_ring(light, (place + creep) % room - margin, radius, depth)


def _add_ring(light: NDArray[np.float64], centre: NDArray[np.float64], radius: float, depth: float) -> None:
    rows, columns = (slice(max(0, int(middle - radius - 4)), max(0, int(middle + radius + 5))) for middle in centre)
    part = light[rows, columns]
    y = np.arange(rows.start, rows.start + part.shape[0])[:, None] - centre[0]
    x = np.arange(columns.start, columns.start + part.shape[1])[None, :] - centre[1]
    distance = np.hypot(y, x)
    edge = 0.08 * radius
    ring = np.tanh((distance - _PUPIL * radius) / edge) - np.tanh((distance - radius) / edge)
    part *= 1 - depth * ring / 2
