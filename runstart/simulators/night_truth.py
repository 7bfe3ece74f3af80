"""What is true of a simulated night, so that a result can be checked against it.

A star's electrons per second are those of a clear sky and of pixels of response 1, which is the median response of
the camera's good columns: frames give them after division by a flat whose median is 1. Extinction by clear air is
left out; an exposure's transmission multiplies the light of the stars.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from runstart.errors import Alert
from runstart.simulators._night_schedule import Kind
from runstart.simulators.night_plan import NightPlan, Scenario

__all__ = [
    "ColumnTruth",
    "ExposureTruth",
    "FieldTruth",
    "NightTruth",
    "SkyTruth",
    "StarsTruth",
    "read_truth",
    "truth_path",
]


class _Truth(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ColumnTruth(_Truth):
    """A bad column, counted from 0 in the trimmed image."""

    column: int
    kind: Literal["dead", "hot"]


class StarsTruth(_Truth):
    """Stars, brightest in r first: positions in degrees (ICRS), and electrons per second by filter."""

    ra: tuple[float, ...]
    dec: tuple[float, ...]
    electrons_per_s: dict[str, tuple[float, ...]]


class FieldTruth(_Truth):
    """A field: its nominal centre in degrees, and its stars, of which some lie just outside of the frames."""

    name: str
    ra: float
    dec: float
    stars: StarsTruth


class SkyTruth(_Truth):
    """What a science exposure saw.

    Attributes
    ----------
    object : str
        Name of the field.
    ra, dec : float
        Where the centre of the frame points, in degrees (ICRS).
    rotation_deg : float
        Of the camera on the sky.
    dither_px : (float, float)
        Columns and rows from the nominal centre.
    seeing_arcsec : float
        Full width at half maximum.
    electrons_per_s : float
        Of the sky itself, in a pixel of response 1 in the centre.
    transmission : float
        Times the light of the stars: 1 under a clear sky, more if overexposed.
    airmass : float
    """

    object: str
    ra: float
    dec: float
    rotation_deg: float
    dither_px: tuple[float, float]
    seeing_arcsec: float
    electrons_per_s: float
    transmission: float
    airmass: float


class ExposureTruth(_Truth):
    """An exposure.

    Attributes
    ----------
    name : str
        The file's, with its suffix.
    kind : Kind
    start : datetime.datetime
        In UTC.
    exposure_time_s : float
    filter : str or None
        None for a bias or a dark.
    level_adu : float or None
        Of a flat: median over the good columns, above the bias.
    sky : SkyTruth or None
        Of a science exposure.
    """

    name: str
    kind: Kind
    start: dt.datetime
    exposure_time_s: float
    filter: str | None
    level_adu: float | None
    sky: SkyTruth | None


class NightTruth(_Truth):
    """A night: its camera, its fields with their stars, and every exposure that was planned.

    Attributes
    ----------
    shape : (int, int)
        Rows and columns of the trimmed image.
    gain : float
        Electrons per ADU.
    read_noise : float
        Electrons.
    bias_level : float
        ADU.
    saturate : int
        ADU from which a raw pixel is saturated.
    dark_current : float
        Electrons a second of a usual pixel.
    hot_pixels : int
        Their number, without the hot column.
    zero_points : dict
        By filter: magnitude of one electron a second.
    """

    site: str
    date: dt.date
    day_obs: str
    time_zone: str
    seed: int
    scenario: Scenario
    shape: tuple[int, int]
    overscan_columns: int
    pixel_scale_arcsec: float
    gain: float
    read_noise: float
    bias_level: float
    saturate: int
    dark_current: float
    bad_columns: tuple[ColumnTruth, ...]
    hot_pixels: int
    zero_points: dict[str, float]
    objects: tuple[FieldTruth, ...]
    exposures: tuple[ExposureTruth, ...]


def truth_path(folder: Path, plan: NightPlan, truth_folder: Path | None = None) -> Path:
    """Return where a night's truth is written: in `truth_folder`, or in `.truth/` of the night's folder."""
    return (truth_folder or folder / ".truth") / f"{plan.site}-{plan.day_obs}-truth.json"


def read_truth(path: Path) -> NightTruth:
    """Read the truth of a night.

    Raises
    ------
    Alert
        The file cannot be read, or is not the truth of a night.
    """
    try:
        return NightTruth.model_validate_json(path.read_bytes())
    except OSError as error:
        raise Alert(f"{path}: cannot be read: {error.strerror}.", "Simulate the night first.") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise Alert(f"{path}: {where}: {first['msg']}.", "Simulate the night again.") from error
