"""Draws what a night is like (pointing, seeing, clouds), and makes the pixels of its exposures."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from runstart.simulators._bands import BANDS
from runstart.simulators._camera import OVERSCAN_COLUMNS, PIXEL_SCALE_ARCSEC, Camera, Electronics
from runstart.simulators._night_schedule import Field, Kind, PlannedExposure, airmass, night_fields, plan_exposures
from runstart.simulators._randomness import generator
from runstart.simulators._sky import add_stars, field_stars, field_wcs, sky_rate
from runstart.simulators.night_plan import NightPlan, Scenario
from runstart.simulators.night_truth import (
    ColumnTruth,
    ExposureTruth,
    FieldTruth,
    NightTruth,
    SkyTruth,
    StarsTruth,
)

_MOST_DITHER_PX = 8.0
_DITHER_SHARE = 0.04  # of the shorter side
_MOST_ROTATION_DEG = 0.05
_FIRST_FLAT_ADU, _FLAT_FADES = 42_000.0, 0.88
_SKY_GRADIENT = 0.05  # from edge to edge
_CLOUDS_LET_THROUGH = (0.0005, 0.003)
_OVEREXPOSED = 0.93  # of the full well, by the sky alone
_NOISY = Electronics(extra_bias_adu=180.0, noise_factor=10.0, interference_adu=40.0)


def draw_truth(plan: NightPlan, camera: Camera) -> NightTruth:
    """Return what will be true of a night.

    Raises
    ------
    Alert
        The exposures do not fit into a night.
    """
    planned = plan_exposures(plan)
    fields = () if plan.scenario is Scenario.NO_SCIENCE else night_fields(plan)
    return NightTruth(
        site=plan.site,
        date=plan.date,
        day_obs=plan.day_obs,
        time_zone=plan.time_zone,
        seed=plan.seed,
        scenario=plan.scenario,
        shape=plan.shape,
        overscan_columns=OVERSCAN_COLUMNS,
        pixel_scale_arcsec=PIXEL_SCALE_ARCSEC,
        gain=camera.gain,
        read_noise=camera.read_noise,
        bias_level=camera.bias_level,
        saturate=camera.saturate,
        dark_current=camera.dark_current,
        bad_columns=tuple(ColumnTruth(column=bad.column, kind=bad.kind) for bad in camera.bad_columns),
        hot_pixels=camera.hot_pixels,
        zero_points={name: BANDS[name].zero_point for name in plan.filters},
        objects=tuple(_field_truth(plan, field) for field in fields),
        exposures=tuple(_draw_exposure(plan, camera, exposure) for exposure in planned),
    )


def take_frame(plan: NightPlan, camera: Camera, truth: NightTruth, exposure: ExposureTruth) -> NDArray[np.uint16]:
    """Return the pixels of an exposure.

    Parameters
    ----------
    plan : NightPlan
    camera : Camera
        Of the plan's site, shape and date.
    truth : NightTruth
        From `draw_truth`.
    exposure : ExposureTruth
        One of the truth's.

    Returns
    -------
    uint16[rows, columns + OVERSCAN_COLUMNS]
        ADU.
    """
    rng = generator("frame", plan.seed, plan.site, exposure.start)
    light = None
    if exposure.sky is not None:
        light = _sky_light(plan.shape, exposure, exposure.sky, rng)
        _add_field(light, truth, exposure, exposure.sky)
    elif exposure.level_adu is not None:
        light = np.full(plan.shape, exposure.level_adu * camera.gain)
    electronics = _NOISY if plan.scenario is Scenario.NOISY_BIAS else Electronics()
    return camera.expose(light, exposure.filter or "", exposure.exposure_time_s, rng, electronics)


def sky_wcs(truth: NightTruth, sky: SkyTruth) -> Any:
    """Return the WCS of an exposure, an `astropy.wcs.WCS`."""
    return field_wcs(sky.ra, sky.dec, sky.rotation_deg, truth.shape)


def _field_truth(plan: NightPlan, field: Field) -> FieldTruth:
    stars = field_stars(field, plan.shape, plan.seed)
    electrons = {name: tuple(stars.electrons_per_s(name).tolist()) for name in plan.filters}
    return FieldTruth(
        name=field.name,
        ra=field.ra_deg,
        dec=field.dec_deg,
        stars=StarsTruth(
            ra=tuple(stars.ra_deg.tolist()), dec=tuple(stars.dec_deg.tolist()), electrons_per_s=electrons
        ),
    )


def _draw_exposure(plan: NightPlan, camera: Camera, planned: PlannedExposure) -> ExposureTruth:
    rng = generator("conditions", plan.seed, plan.site, planned.start)
    level = _FIRST_FLAT_ADU * _FLAT_FADES**planned.index * rng.uniform(0.95, 1.05)
    return ExposureTruth(
        name=planned.name + (".fits.fz" if plan.compress else ".fits"),
        kind=planned.kind,
        start=planned.start,
        exposure_time_s=planned.exposure_time_s,
        filter=planned.filter_name or None,
        level_adu=max(level, 12_000.0) if planned.kind is Kind.SKYFLAT else None,
        sky=None if planned.field is None else _draw_sky(plan, camera, planned, planned.field, rng),
    )


def _draw_sky(
    plan: NightPlan, camera: Camera, planned: PlannedExposure, field: Field, rng: np.random.Generator
) -> SkyTruth:
    most = min(_MOST_DITHER_PX, _DITHER_SHARE * min(plan.shape))
    dither = rng.uniform(-most, most, 2)
    rotation = camera.rotation_deg + rng.uniform(-_MOST_ROTATION_DEG, _MOST_ROTATION_DEG)
    wcs = field_wcs(field.ra_deg, field.dec_deg, camera.rotation_deg, plan.shape)
    ra, dec = wcs.wcs_pix2world([wcs.wcs.crpix + dither], 1)[0]
    brightness = sky_rate(planned.filter_name) * rng.uniform(0.95, 1.05)
    transmission = 1.0
    if plan.scenario is Scenario.CLOUDS:
        transmission = rng.uniform(*_CLOUDS_LET_THROUGH)
        brightness *= 2 - transmission
    elif plan.scenario is Scenario.SATURATED:
        # As if the exposure took that much longer.
        transmission = _OVEREXPOSED * camera.full_well / (brightness * planned.exposure_time_s)
        brightness *= transmission
    return SkyTruth(
        object=field.name,
        ra=float(ra),
        dec=float(dec),
        rotation_deg=float(rotation),
        dither_px=(float(dither[0]), float(dither[1])),
        seeing_arcsec=float(plan.seeing_arcsec * rng.uniform(0.93, 1.07)),
        electrons_per_s=float(brightness),
        transmission=float(transmission),
        airmass=airmass(field, planned.start, plan.longitude_deg),
    )


def _sky_light(
    shape: tuple[int, int], exposure: ExposureTruth, sky: SkyTruth, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return the electrons of the sky's own light, brighter to one side."""
    angle = rng.uniform(0, 2 * np.pi)
    y = np.linspace(-0.5, 0.5, shape[0])[:, None] * np.sin(angle)
    x = np.linspace(-0.5, 0.5, shape[1])[None, :] * np.cos(angle)
    return np.asarray(sky.electrons_per_s * exposure.exposure_time_s * (1 + _SKY_GRADIENT * (x + y)))


def _add_field(light: NDArray[np.float64], truth: NightTruth, exposure: ExposureTruth, sky: SkyTruth) -> None:
    stars = next(field.stars for field in truth.objects if field.name == sky.object)
    x, y = sky_wcs(truth, sky).wcs_world2pix(stars.ra, stars.dec, 0)
    electrons = np.array(stars.electrons_per_s[exposure.filter or ""])
    electrons *= sky.transmission * exposure.exposure_time_s
    add_stars(light, x, y, electrons, sky.seeing_arcsec / PIXEL_SCALE_ARCSEC)
