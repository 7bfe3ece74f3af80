"""Writes exposures as FITS: under a hidden name first, so that a file is whole as soon as it has its own.

An exposure is a plain primary HDU, or an SCI extension with RICE compression as `fpack` makes it. Nothing of the
time of writing is in a file.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from runstart.errors import Alert
from runstart.simulators._night_frames import sky_wcs
from runstart.simulators._night_schedule import Kind, modified_julian_date
from runstart.simulators.night_plan import NightPlan, Scenario
from runstart.simulators.night_truth import ExposureTruth, NightTruth

if TYPE_CHECKING:
    from astropy.io import fits

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_IMAGE_TYPES = {Kind.BIAS: "BIAS", Kind.DARK: "DARK", Kind.SKYFLAT: "FLAT", Kind.EXPOSE: "EXPOSE"}


def write_exposure(
    folder: Path, plan: NightPlan, truth: NightTruth, exposure: ExposureTruth, pixels: NDArray[np.uint16]
) -> Path:
    """Write an exposure and return its path; one of that name is replaced.

    Raises
    ------
    Alert
        The folder cannot be written to, or the disk is full.
    """
    from astropy.io import fits

    header = exposure_header(plan, truth, exposure)
    if plan.compress:
        image = fits.CompImageHDU(pixels, header, name="SCI", compression_type="RICE_1")
        hdus = fits.HDUList([fits.PrimaryHDU(), image])
    else:
        hdus = fits.HDUList([fits.PrimaryHDU(pixels, header)])
    path = folder / exposure.name
    with whole_file(path) as file:
        hdus.writeto(file)
    return path


def exposure_header(plan: NightPlan, truth: NightTruth, exposure: ExposureTruth) -> fits.Header:
    """Return an exposure's header, without what describes the array."""
    from astropy.io import fits

    rows, columns = truth.shape
    light = f"[1:{columns},1:{rows}]"
    sky = exposure.sky
    cards: list[tuple[str, Any, str]] = [
        ("ORIGIN", "Runstart", "simulated"),
        ("SITEID", truth.site, "site"),
        ("TELESCOP", f"{truth.site} 1m0-01", "telescope"),
        ("INSTRUME", f"{truth.site.lower()}-cam1", "camera"),
        ("OBSTYPE", exposure.kind.value, "type of the exposure"),
        ("IMAGETYP", _IMAGE_TYPES[exposure.kind], "type of the exposure"),
        ("OBJECT", sky.object if sky else exposure.kind.value, "target"),
        ("EXPTIME", exposure.exposure_time_s, "[s] exposure time"),
        ("DAY-OBS", truth.day_obs, "local date of the evening"),
        ("DATE-OBS", f"{exposure.start:%Y-%m-%dT%H:%M:%S}.{exposure.start.microsecond // 1000:03d}", "[UTC] start"),
        ("MJD-OBS", round(modified_julian_date(exposure.start), 8), "[UTC] start"),
        ("TIMESYS", "UTC", "time scale"),
        ("GAIN", truth.gain, "[electron/ADU]"),
        ("RDNOISE", truth.read_noise, "[electron] read noise"),
        ("SATURATE", truth.saturate, "[ADU] a raw pixel is saturated from here"),
        ("BIASSEC", f"[{columns + 1}:{columns + truth.overscan_columns},1:{rows}]", "overscan"),
        ("TRIMSEC", light, "light-sensitive area"),
        ("DATASEC", light, "light-sensitive area"),
        ("CCDSUM", "1 1", "binning"),
        ("PIXSCALE", truth.pixel_scale_arcsec, "[arcsec/pixel]"),
    ]
    if exposure.filter is not None:
        cards.append(("FILTER", exposure.filter, "filter"))
    header = fits.Header(cards)
    if sky is not None:
        header["RA"] = (round(sky.ra, 7), "[deg] centre, where the telescope points")
        header["DEC"] = (round(sky.dec, 7), "[deg] centre, where the telescope points")
        header["AIRMASS"] = (round(sky.airmass, 4), "at the start")
        if plan.scenario is not Scenario.NO_WCS:
            _add_wcs(header, sky_wcs(truth, sky))
    return header


def write_truth(path: Path, truth: NightTruth) -> None:
    """Write the truth of a night.

    Raises
    ------
    Alert
        The folder cannot be written to, or the disk is full.
    """
    with whole_file(path) as file:
        file.write(truth.model_dump_json(indent=1).encode())


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """Give a file its name when its content is complete; if that fails, leave nothing.

    Raises
    ------
    Alert
        The folder cannot be written to, or the disk is full.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with part.open("wb") as file:
                yield file
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        remedy = "Make room on the disk." if error.errno in _FULL else "Choose a folder that you may write to."
        raise Alert(f"{path} cannot be written: {error.strerror or error}.", remedy) from error


def _add_wcs(header: fits.Header, wcs: Any) -> None:
    header["WCSAXES"] = 2
    for axis in (1, 2):
        header[f"CTYPE{axis}"] = wcs.wcs.ctype[axis - 1]
        header[f"CUNIT{axis}"] = "deg"
        header[f"CRVAL{axis}"] = float(wcs.wcs.crval[axis - 1])
        header[f"CRPIX{axis}"] = float(wcs.wcs.crpix[axis - 1])
        for other in (1, 2):
            header[f"CD{axis}_{other}"] = float(wcs.wcs.cd[axis - 1, other - 1])
    header["RADESYS"] = "ICRS"
