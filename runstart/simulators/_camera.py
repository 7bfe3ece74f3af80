"""The camera of a simulated site: what a CCD and its optics do to light.

Light is multiplied by the response (vignetting, dust, sensitivity of each pixel), counted with Poisson noise
together with the dark current, hit by cosmic rays, held up to the full well, and read out through a gain, with
read noise, over a bias with a little structure; columns of overscan see the bias alone. All properties follow
from the site's name, so that every night has the same camera; only the dust creeps from night to night.
"""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from runstart.simulators._cosmic_rays import add_cosmic_rays
from runstart.simulators._dust import dust_shadow
from runstart.simulators._randomness import generator

__all__ = ["OVERSCAN_COLUMNS", "PIXEL_SCALE_ARCSEC", "BadColumn", "Camera", "Electronics"]

OVERSCAN_COLUMNS = 32
PIXEL_SCALE_ARCSEC = 0.5

_SATURATE_ADU = 60_000
_FULL_ADU = 62_000
_HOT_SHARE = 5e-4  # of the pixels
_HOT_RATES = (1.0, 80.0)  # electrons a second
_HOT_COLUMN_RATE = 60.0
_HOT_COLUMN_BIAS_ADU = 25.0
_DEAD_RESPONSE = 0.03
_PIXEL_RESPONSE_NOISE = 0.01


@dataclass(frozen=True, slots=True)
class BadColumn:
    """A column that does not measure light: `dead` sees next to none, `hot` has a strong dark current."""

    column: int
    kind: Literal["dead", "hot"]


@dataclass(frozen=True, slots=True)
class Electronics:
    """What is wrong with the read-out.

    Parameters
    ----------
    extra_bias_adu : float
        Added to the bias level.
    noise_factor : float
        Times the read noise.
    interference_adu : float
        Amplitude of a sine that runs over the image as it is read.
    """

    extra_bias_adu: float = 0.0
    noise_factor: float = 1.0
    interference_adu: float = 0.0


class Camera:
    """A camera with its properties of one night.

    Parameters
    ----------
    site : str
    shape : (int, int)
        Rows and columns of the light-sensitive area.
    date : datetime.date
        Where the dust is.

    Attributes
    ----------
    gain : float
        Electrons per ADU.
    read_noise : float
        Electrons.
    bias_level : float
        ADU.
    dark_current : float
        Typical electrons a second and pixel.
    saturate : int
        ADU from which a raw pixel is saturated.
    full_well : float
        Electrons that a pixel holds.
    rotation_deg : float
        Of the camera on the sky.
    bad_columns : tuple of BadColumn
        Counted from 0 in the light-sensitive area.
    hot_pixels : int
    dark : float32[rows, columns]
        Electrons a second.
    """

    def __init__(self, site: str, shape: tuple[int, int], date: dt.date) -> None:
        self.site, self.shape, self.date = site, shape, date
        rng = generator("camera", site)
        self.gain = round(float(rng.uniform(1.3, 1.9)), 2)
        self.read_noise = round(float(rng.uniform(5.0, 8.0)), 1)
        self.bias_level = round(float(rng.uniform(900, 1500)), 1)
        self.dark_current = round(float(rng.uniform(0.02, 0.05)), 3)
        self.rotation_deg = float(rng.uniform(-2, 2))
        self.saturate = _SATURATE_ADU
        self.full_well = (_FULL_ADU - self.bias_level) * self.gain
        self.bad_columns = _bad_columns(site, shape[1])
        self.dark, self.hot_pixels = self._dark_map()
        self._bias_pattern = self._bias_map()
        self._responses: dict[str, NDArray[np.float32]] = {}

    @property
    def good(self) -> NDArray[np.bool_]:
        """bool[columns]: the columns that are not bad."""
        good = np.ones(self.shape[1], bool)
        good[[bad.column for bad in self.bad_columns]] = False
        return good

    def response(self, filter_name: str) -> NDArray[np.float32]:
        """Return the response to light in a filter.

        Returns
        -------
        float32[rows, columns]
            Its median over the good columns is 1.
        """
        if filter_name not in self._responses:
            self._responses[filter_name] = self._response_map(filter_name)
        return self._responses[filter_name]

    def expose(
        self,
        light: NDArray[np.floating] | None,
        filter_name: str,
        exposure_time_s: float,
        rng: np.random.Generator,
        electronics: Electronics,
    ) -> NDArray[np.uint16]:
        """Take an exposure and read it out.

        Parameters
        ----------
        light : float[rows, columns] or None
            Mean electrons of a pixel of response 1, over the whole exposure; None with the shutter closed.
        filter_name : str
            Of no meaning without light.
        exposure_time_s : float
        rng : numpy.random.Generator
        electronics : Electronics

        Returns
        -------
        uint16[rows, columns + OVERSCAN_COLUMNS]
            ADU.
        """
        mean = self.dark * np.float32(exposure_time_s)
        if light is not None:
            mean += light * self.response(filter_name)
        electrons = rng.poisson(mean).astype(np.float32)
        add_cosmic_rays(electrons, exposure_time_s, rng)
        np.minimum(electrons, np.float32(self.full_well), out=electrons)
        return self._read_out(electrons, rng, electronics)

    def _read_out(
        self, electrons: NDArray[np.float32], rng: np.random.Generator, electronics: Electronics
    ) -> NDArray[np.uint16]:
        rows, columns = self.shape
        noise_adu = np.float32(self.read_noise * electronics.noise_factor / self.gain)
        adu = rng.standard_normal((rows, columns + OVERSCAN_COLUMNS), np.float32) * noise_adu
        # The level drifts a little from read-out to read-out; the overscan tells by how much.
        adu += self._bias_pattern + np.float32(electronics.extra_bias_adu + rng.normal(0, 1.0))
        adu[:, :columns] += electrons / np.float32(self.gain)
        if electronics.interference_adu:
            read = np.arange(adu.size, dtype=np.float64).reshape(adu.shape)
            adu += electronics.interference_adu * np.sin(read / 7.3 + rng.uniform(0, 2 * np.pi))
        return np.asarray(np.clip(np.rint(adu), 0, 65_535), np.uint16)

    def _dark_map(self) -> tuple[NDArray[np.float32], int]:
        rows, columns = self.shape
        rng = generator("dark", self.site, self.shape)
        # The amplifier in the first rows glows.
        glow = 1 + 0.8 * np.exp(-np.arange(rows) / (0.15 * rows))
        dark = np.repeat(self.dark_current * glow[:, None], columns, axis=1)
        hot = rng.choice(rows * columns, max(3, round(_HOT_SHARE * rows * columns)), replace=False)
        dark.flat[hot] = np.exp(rng.uniform(math.log(_HOT_RATES[0]), math.log(_HOT_RATES[1]), hot.size))
        for bad in self.bad_columns:
            if bad.kind == "hot":
                dark[:, bad.column] = _HOT_COLUMN_RATE * rng.uniform(0.9, 1.1, rows)
        return dark.astype(np.float32), int(hot.size)

    def _bias_map(self) -> NDArray[np.float32]:
        rows, columns = self.shape
        rng = generator("bias", self.site, self.shape)
        pattern = np.full((rows, columns + OVERSCAN_COLUMNS), self.bias_level)
        pattern += 3.0 * np.exp(-np.arange(rows) / (0.1 * rows))[:, None]
        pattern[:, :columns] += rng.normal(0, 0.5, columns)
        for bad in self.bad_columns:
            if bad.kind == "hot":
                pattern[:, bad.column] += _HOT_COLUMN_BIAS_ADU
        return pattern.astype(np.float32)

    def _response_map(self, filter_name: str) -> NDArray[np.float32]:
        response = self._vignetting(filter_name)
        response *= dust_shadow(self.site, filter_name, self.shape, self.date)
        # Pixels differ in size, in every filter alike, and in depth, which each filter feels in its own way.
        for share, name in ((0.8, "size"), (0.6, filter_name)):
            rng = generator("pixels", self.site, self.shape, name)
            response *= 1 + share * _PIXEL_RESPONSE_NOISE * rng.standard_normal(self.shape)
        response /= np.median(response[:, self.good])
        for bad in self.bad_columns:
            if bad.kind == "dead":
                response[:, bad.column] = _DEAD_RESPONSE
        return response.astype(np.float32)

    def _vignetting(self, filter_name: str) -> NDArray[np.float64]:
        rows, columns = self.shape
        rng = generator("vignetting", self.site, filter_name)
        centre_y, centre_x = rng.uniform(-0.08, 0.08, 2)
        y = np.linspace(-1, 1, rows)[:, None] - centre_y
        x = np.linspace(-1, 1, columns)[None, :] - centre_x
        radius2 = (y**2 + x**2) / 2
        return np.asarray(1 - 0.13 * radius2 - 0.07 * radius2**2)


def _bad_columns(site: str, columns: int) -> tuple[BadColumn, ...]:
    """Return three bad columns, apart from each other and from the edges."""
    rng = generator("bad columns", site)
    places = rng.uniform((0.12, 0.42, 0.70), (0.30, 0.60, 0.88)) * columns
    hot = int(rng.integers(len(places)))
    return tuple(BadColumn(int(place), "hot" if i == hot else "dead") for i, place in enumerate(places))
