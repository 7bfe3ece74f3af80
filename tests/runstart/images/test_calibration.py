"""Calibrated frames."""

from __future__ import annotations

import ccdproc
import numpy as np
import pytest
from astropy import units as u
from astropy.nddata import CCDData

from runstart.errors import Alert
from runstart.images import MaskBit, calibrate

SHAPE = (50, 60)
GAIN, READ_NOISE, SECONDS = 1.9, 5.0, 30.0


def _masters() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    return {
        "bias": rng.normal(2, 1, SHAPE).astype(np.float32),
        "dark": np.full(SHAPE, 0.1, np.float32),
        "flat": rng.uniform(0.7, 1.2, SHAPE).astype(np.float32),
    }


def _raw(electrons: float, masters: dict[str, np.ndarray], seed: int) -> np.ndarray:
    """Return a frame of a flat sky, in ADU."""
    rng = np.random.default_rng(seed)
    collected = rng.poisson(electrons * masters["flat"] + masters["dark"] * SECONDS * GAIN)
    return (collected + rng.normal(0, READ_NOISE, SHAPE)) / GAIN + masters["bias"]


def test_truth_is_recovered_with_the_scatter_that_the_uncertainty_tells() -> None:
    masters = _masters()
    pulls = []
    for seed in range(20):
        raw = _raw(800, masters, seed)
        found = calibrate(raw, **masters, exposure_s=SECONDS, gain=GAIN, read_noise=READ_NOISE)
        pulls.append((found.data - 800) / found.uncertainty)
    assert np.mean(pulls) == pytest.approx(0, abs=0.02)
    assert np.std(pulls) == pytest.approx(1, abs=0.02)


def test_data_and_uncertainty_are_those_of_ccdproc() -> None:
    masters = _masters()
    raw = _raw(800, masters, 1)
    found = calibrate(raw, **masters, exposure_s=SECONDS, gain=GAIN, read_noise=READ_NOISE)
    frame = ccdproc.subtract_bias(CCDData(raw, unit=u.adu), CCDData(masters["bias"], unit=u.adu))
    frame = ccdproc.create_deviation(frame, gain=GAIN * u.electron / u.adu, readnoise=READ_NOISE * u.electron)
    frame = ccdproc.gain_correct(frame, GAIN * u.electron / u.adu)
    dark = CCDData(masters["dark"] * SECONDS * GAIN, unit=u.electron)
    frame = frame.subtract(dark)
    frame = frame.divide(CCDData(masters["flat"], unit=u.dimensionless_unscaled))
    np.testing.assert_allclose(found.data, frame.data, rtol=1e-5)
    np.testing.assert_allclose(found.uncertainty, frame.uncertainty.array, rtol=1e-5)


def test_flags_tell_what_is_wrong_and_data_stays() -> None:
    raw = np.full(SHAPE, 1000.0)
    flat, bad = np.ones(SHAPE), np.zeros(SHAPE, bool)
    raw[0, 1] = 60000
    raw[0, 2] = np.nan
    flat[0, 3], flat[0, 4] = np.nan, 0.04
    bad[0, 5] = True
    raw[0, 6], bad[0, 6] = 65535, True
    found = calibrate(raw, flat=flat, bad_pixels=bad, saturation=60000, read_noise=3)
    expected = [
        0,
        MaskBit.SATURATED,
        MaskBit.NO_DATA,
        MaskBit.NO_FLAT,
        MaskBit.NO_FLAT,
        MaskBit.BAD,
        MaskBit.BAD | MaskBit.SATURATED,
    ]
    np.testing.assert_array_equal(found.mask[0, :7], np.array(expected, np.uint16))
    assert not found.mask[1:].any()
    np.testing.assert_array_equal(found.data[0, :7], [1000, 60000, np.nan, 1000, 1000, 1000, 65535])
    np.testing.assert_array_equal(np.isnan(found.uncertainty), np.isnan(found.data))
    assert (found.data.dtype, found.uncertainty.dtype, found.mask.dtype) == (np.float32, np.float32, np.uint16)


def test_the_flat_fields_own_uncertainty_is_added() -> None:
    found = calibrate(np.full(SHAPE, 1e6), flat_uncertainty=0.01)
    np.testing.assert_allclose(found.uncertainty, np.sqrt(1e6 + 1e8), rtol=1e-6)


def test_a_pixel_below_the_bias_has_the_read_noise() -> None:
    found = calibrate(np.full((1, 1), -4, ">i2"), read_noise=7.0, gain=2.0)
    assert (found.data[0, 0], found.uncertainty[0, 0], found.mask[0, 0]) == (-8, 7, 0)


@pytest.mark.parametrize("dtype", [">u2", "i4", ">f4", "f8"])
def test_the_frame_is_not_changed(dtype: str) -> None:
    raw = np.full(SHAPE, 1000, dtype)
    found = calibrate(raw, bias=np.full(SHAPE, 10, ">i2"), dark=np.ones(SHAPE), exposure_s=5)
    assert (raw == 1000).all()
    assert (found.data == 985).all()


@pytest.mark.parametrize(
    ("raw", "options", "message"),
    [
        (np.zeros((2, 2, 2)), {}, "3 axes"),
        (np.zeros((2, 2)), {"bias": np.zeros((2, 3))}, "master bias is of shape"),
        (np.zeros((2, 2)), {"bad_pixels": np.zeros((3, 3))}, "bad pixel mask is of shape"),
        (np.zeros((2, 2)), {"gain": 0}, "the gain is 0"),
        (np.zeros((2, 2)), {"gain": float("nan")}, "the gain is nan"),
        (np.zeros((2, 2)), {"read_noise": -1}, "the read noise is -1"),
        (np.zeros((2, 2)), {"exposure_s": float("inf")}, "the exposure time is inf"),
    ],
)
def test_what_does_not_fit_is_an_alert(raw: np.ndarray, options: dict[str, object], message: str) -> None:
    with pytest.raises(Alert, match=message):
        calibrate(raw, **options)  # type: ignore[arg-type]
