"""What a site is: where its exposures arrive, when its night begins, and what an observer expects of it."""

from __future__ import annotations

import zoneinfo
from datetime import date
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator

from runstart.fits.camera_keywords import USUAL, CameraKeywords, check_keyword
from runstart.storage import check_key

NAME_PATTERN = r"^[A-Za-z][A-Za-z0-9_]{0,62}$"

Amount = Annotated[int, Field(ge=0, le=255)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Keywords(_Frozen):
    """Header keywords of the site's cameras; each may name several, of which the first that is there counts."""

    kind: tuple[str, ...] = ("OBSTYPE", "IMAGETYP")
    """Bias, dark, flat or science."""

    object: tuple[str, ...] = ("OBJECT",)
    """What was observed."""

    filter: tuple[str, ...] = ("FILTER",)
    """Filter in the beam."""

    exposure: tuple[str, ...] = USUAL.exposure
    """Exposure time, s."""

    time: tuple[str, ...] = ("DATE-OBS",)
    """Begin of the exposure, UTC."""

    gain: tuple[str, ...] = USUAL.gain
    """Electrons per ADU; 1 if no keyword is there."""

    read_noise: tuple[str, ...] = USUAL.read_noise
    """Electrons; 0 if no keyword is there."""

    saturation: tuple[str, ...] = USUAL.saturation
    """ADU from which on a pixel is saturated; 65535 if no keyword is there."""

    bias_section: tuple[str, ...] = USUAL.bias_section
    """Overscan; without it nothing is subtracted."""

    data_section: tuple[str, ...] = USUAL.data_section
    """Pixels that see the sky; without it all do."""

    @field_validator("*")
    @classmethod
    def _check_keywords(cls, keywords: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(check_keyword, keywords))

    @property
    def camera(self) -> CameraKeywords:
        """Those that data operations read in raw frames."""
        return CameraKeywords(**{meaning: getattr(self, meaning) for meaning in USUAL.meanings()})


class Limits(_Frozen):
    """What an observer expects of a night; a check fails outside."""

    biases: Annotated[int, Field(ge=0)] = 5
    """Bias exposures that make a good master bias."""

    darks: Annotated[int, Field(ge=0)] = 3
    """Dark exposures that make a good master dark."""

    flats: Annotated[int, Field(ge=0)] = 3
    """Flat exposures that make a good master flat, for each filter that was used."""

    bias_level: tuple[float, float] = (100.0, 5_000.0)
    """Level of a raw bias, ADU."""

    bias_noise: float = 30.0
    """Largest read noise of a bias, ADU."""

    flat_level: tuple[float, float] = (5_000.0, 55_000.0)
    """Level of a usable raw flat, ADU: others are left out of the master."""

    saturated_fraction: float = 0.01
    """Largest part of a science exposure that may be saturated."""

    seeing_arcsec: float = 5.0
    """Largest FWHM of the stars of a stack, arcsec."""

    sources: Annotated[int, Field(ge=0)] = 5
    """Fewest sources of a catalogue."""

    master_days: Annotated[int, Field(ge=0)] = 30
    """How old a master may be that stands in for one that a night lacks."""


class Site(_Frozen):
    """An observing site with one camera."""

    name: Annotated[str, Field(pattern=NAME_PATTERN)]
    """Its table in `sites.toml`; also the name of its exposures as a source of data operations."""

    title: str = ""
    """For people."""

    time_zone: str = "UTC"
    """IANA name. A night lasts from noon to noon there, and has the date of its evening."""

    first_night: date
    """Partitions begin here."""

    exposures: str
    """Where exposures arrive: `file:FOLDER` (relative to `sites.toml`) or `s3://BUCKET/PREFIX`."""

    settle_seconds: Annotated[float, Field(ge=0, le=3600)] = 5.0
    """A file whose size has changed within this time is still being written."""

    morning: str = "0 14 * * *"
    """When the night that began the evening before is reduced, as a cron expression in the site's time zone."""

    keywords: Keywords = Keywords()
    limits: Limits = Limits()

    colors: dict[str, tuple[Amount, Amount, Amount]] = {}
    """Colour (r, g, b) of each filter in a colour image; an object with fewer than two of them gets none."""

    @field_validator("time_zone")
    @classmethod
    def _check_time_zone(cls, name: str) -> str:
        try:
            zoneinfo.ZoneInfo(name)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"{name!r} is no time zone; write one like 'Europe/London'") from None
        return name

    @property
    def zone(self) -> zoneinfo.ZoneInfo:
        """The time zone."""
        return zoneinfo.ZoneInfo(self.time_zone)

    def folder(self, night: str) -> str:
        """Return the prefix under which a night's records lie in the object store."""
        return check_key(f"nights/{self.name}/{night}")
