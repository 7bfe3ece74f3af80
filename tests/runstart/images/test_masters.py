"""Master frames."""

from __future__ import annotations

import ccdproc
import numpy as np
import pytest
from astropy import units as u
from astropy.nddata import CCDData

from runstart.errors import Alert
from runstart.images import make_master, middle_level

SHAPE = (40, 60)


def _frames(n: int, level: float, noise: float, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(level, noise, (n, *SHAPE)).astype(np.float32)


@pytest.mark.parametrize("n", [5, 14])
def test_few_frames_are_combined_by_their_median(n: int) -> None:
    frames = _frames(n, 5, 2)
    np.testing.assert_array_equal(make_master(list(frames)), np.median(frames, axis=0))


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
    master = make_master(frames)
    once = np.abs(master - peer.data) < 1e-3  # ccdproc clips once only
    assert once.mean() > 0.97
    assert master[7, 8] == pytest.approx(5, abs=2)
    assert master.std() < 2 / np.sqrt(20) * 1.1


@pytest.mark.parametrize("n", [3, 7, 10, 20])
def test_no_cosmic_ray_gets_into_a_master_however_few_frames_there_are(n: int) -> None:
    darks = _frames(n, 10, 1)
    darks[1, 4, 5] = 60000
    assert make_master(darks)[4, 5] < 20


def test_the_level_of_a_flat_is_the_median_of_its_middle() -> None:
    flat = np.full(SHAPE, 10.0)
    flat[10:30, 15:45] = 1000
    flat[12, 20], flat[13, 20] = np.nan, np.inf
    assert middle_level(flat) == 1000
    assert middle_level(flat.astype(">f4")) == 1000


def test_integers_and_any_byte_order_are_frames() -> None:
    frames = [np.full(SHAPE, 1000, dtype) for dtype in (">u2", "<i4", ">f8")]
    assert (make_master(frames) == 1000).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: make_master([]), "there is no frame"),
        (lambda: make_master([np.zeros((2, 2)), np.zeros((2, 3))]), "frame 2 is of shape \\(2, 3\\)"),
        (lambda: make_master([np.zeros((2, 2, 2))]), "frame 1 has 3 axes"),
        (lambda: middle_level(np.zeros((4, 4))), "no light in its middle .median 0 ADU"),
        (lambda: middle_level(np.full((4, 4), np.nan)), "no light in its middle .median nan"),
    ],
)
def test_frames_that_do_not_fit_are_an_alert(make: object, message: str) -> None:
    with pytest.raises(Alert, match=message):
        make()  # type: ignore[operator]
