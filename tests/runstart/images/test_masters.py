"""Master frames."""

from __future__ import annotations

import ccdproc
import numpy as np
import pytest
from astropy import units as u
from astropy.nddata import CCDData

from runstart.errors import Alert
from runstart.images import make_master_bias, make_master_dark, make_master_flat

SHAPE = (40, 60)


def _frames(n: int, level: float, noise: float, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(level, noise, (n, *SHAPE)).astype(np.float32)


@pytest.mark.parametrize("n", [5, 14])
def test_few_frames_are_combined_by_their_median(n: int) -> None:
    frames = _frames(n, 5, 2)
    np.testing.assert_array_equal(make_master_bias(list(frames)), np.median(frames, axis=0))


def test_many_frames_are_combined_by_a_clipped_mean_as_ccdproc_does() -> None:
    frames = _frames(20, 5, 2)
    frames[3, 7, 8] = 5000
    peer = ccdproc.combine(
        [CCDData(frame, unit=u.adu) for frame in frames],
        sigma_clip=True,
        sigma_clip_low_thresh=3,
        sigma_clip_high_thresh=3,
        sigma_clip_func=np.ma.median,
        sigma_clip_dev_func=np.ma.std,
        dtype=np.float64,
    )
    master = make_master_bias(frames)
    once = np.abs(master - peer.data) < 1e-3  # ccdproc clips once only
    assert once.mean() > 0.97
    assert master[7, 8] == pytest.approx(5, abs=2)
    assert master.std() < 2 / np.sqrt(20) * 1.1


@pytest.mark.parametrize("n", [3, 7, 10, 20])
def test_no_cosmic_ray_gets_into_a_master_however_few_frames_there_are(n: int) -> None:
    darks = _frames(n, 10, 1)
    darks[1, 4, 5] = 60000
    assert make_master_dark(darks, 10.0)[4, 5] < 2


def test_a_dark_is_a_rate_without_bias() -> None:
    bias = _frames(1, 3, 1)[0]
    times = [10.0, 20.0, 40.0]
    darks = [bias + 0.5 * seconds for seconds in times]
    np.testing.assert_allclose(make_master_dark(darks, times, bias), 0.5, rtol=1e-5)
    np.testing.assert_allclose(make_master_dark([darks[0]], 10, bias), 0.5, rtol=1e-5)


def test_a_flat_is_the_sensitivity_however_bright_the_twilight() -> None:
    y, x = np.indices(SHAPE)
    truth = 1 - ((y - 20) ** 2 + (x - 30) ** 2) / 4000
    truth /= np.median(truth[10:30, 15:45])
    bias, dark, seconds = _frames(1, 3, 1)[0], np.full(SHAPE, 0.2), np.array([1.0, 3.0, 9.0, 5.0, 2.0])
    flats = [bias + dark * s + light * truth for s, light in zip(seconds, [1e4, 2e4, 3e4, 4e4, 5e4], strict=True)]
    flats[2][5, 5] = 65535
    master = make_master_flat(flats, bias, dark, seconds.tolist())
    np.testing.assert_allclose(master, truth, rtol=1e-4)
    assert master.dtype == np.float32


def test_pixels_without_sensitivity_are_nan() -> None:
    flats = np.full((3, *SHAPE), 1000.0)
    flats[:, 0, 0] = 40
    flats[:, 0, 1] = -5
    flats[:, 0, 2] = np.nan
    flats[:, 0, 3] = 60
    flats[0, 0, 4] = np.inf
    master = make_master_flat(flats)
    np.testing.assert_array_equal(np.isnan(master[0, :6]), [True, True, True, False, False, False])
    assert np.isfinite(master[1:]).all()


def test_integers_and_any_byte_order_are_frames() -> None:
    frames = [np.full(SHAPE, 1000, dtype) for dtype in (">u2", "<i4", ">f8")]
    assert (make_master_bias(frames) == 1000).all()
    assert (make_master_flat(frames, np.zeros(SHAPE, ">i2")) == 1).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: make_master_bias([]), "there is no bias frame"),
        (lambda: make_master_bias([np.zeros((2, 2)), np.zeros((2, 3))]), "bias frame 2 is of shape \\(2, 3\\)"),
        (lambda: make_master_bias([np.zeros((2, 2, 2))]), "bias frame 1 has 3 axes"),
        (lambda: make_master_dark([np.zeros((2, 2))], 0), "exposure time of 0.0 s is not above 0"),
        (lambda: make_master_dark([np.zeros((2, 2))], float("nan")), "exposure time of nan"),
        (lambda: make_master_dark([np.zeros((2, 2))], [1.0, 2.0]), "2 exposure times for 1 frames"),
        (lambda: make_master_dark([np.zeros((2, 2))], 1, np.zeros((3, 3))), "master bias is of shape"),
        (lambda: make_master_flat([np.zeros((4, 4))]), "flat field 1 has no light"),
        (lambda: make_master_flat([np.ones((4, 4)), np.full((4, 4), np.nan)]), "flat field 2 has no light"),
        (lambda: make_master_flat([np.ones((4, 4))], None, np.ones((4, 4)), -1.0), "exposure time of -1.0"),
    ],
)
def test_frames_that_do_not_fit_are_an_alert(make: object, message: str) -> None:
    with pytest.raises(Alert, match=message):
        make()  # type: ignore[operator]
