from __future__ import annotations

import dataclasses
import datetime as dt
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from numpy.typing import NDArray

from runstart.errors import Alert
from runstart.simulators import NightPlan, NightTruth, Scenario, read_truth, simulate_night
from runstart.simulators.night import count_exposures, truth_path

DATE = dt.date(2026, 7, 19)
TINY = NightPlan(
    date=DATE,
    shape=(64, 96),
    filters=("gp", "rp"),
    objects=1,
    exposures=2,
    biases=2,
    darks=2,
    flats=2,
    exposure_time_s=30.0,
)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    simulate_night(folder, TINY)
    return folder


def headers(folder: Path) -> list[fits.Header]:
    return [fits.getheader(path) for path in sorted(folder.glob("*.fits"))]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def changed(plan: NightPlan, **values: Any) -> NightPlan:
    return dataclasses.replace(plan, **values)


@pytest.mark.parametrize("compress", [False, True])
def test_the_same_plan_gives_the_same_bytes(tmp_path: Path, compress: bool) -> None:
    plan = changed(TINY, compress=compress, objects=2)
    for name in ("a", "b"):
        simulate_night(tmp_path / name, plan)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_another_seed_gives_other_pixels_of_the_same_camera(tiny: Path, tmp_path: Path) -> None:
    truth = simulate_night(tmp_path, changed(TINY, seed=1))
    other = read_truth(truth_path(tiny, TINY))
    assert truth.bad_columns == other.bad_columns
    assert (truth.gain, truth.read_noise, truth.bias_level) == (other.gain, other.read_noise, other.bias_level)
    for exposure in truth.exposures:
        assert (tmp_path / exposure.name).read_bytes() != (tiny / exposure.name).read_bytes()


def test_a_night_consists_of_what_was_planned(tiny: Path) -> None:
    kinds = [(header["OBSTYPE"], header.get("FILTER")) for header in headers(tiny)]
    flats = [("SKYFLAT", name) for name in ("gp", "gp", "rp", "rp")]
    science = [("EXPOSE", name) for name in ("gp", "gp", "rp", "rp")]
    assert kinds == [("BIAS", None)] * 2 + [("DARK", None)] * 2 + flats + science
    assert len(kinds) == count_exposures(TINY)


def test_names_are_safe_and_in_the_order_of_the_times(tiny: Path) -> None:
    names = sorted(path.name for path in tiny.iterdir() if path.is_file())
    assert all(re.fullmatch(r"SIMOBS-20260719-\d{4}-[bdfe]00\.fits", name) for name in names)
    times = [fits.getheader(tiny / name)["DATE-OBS"] for name in names]
    assert times == sorted(times)


def test_pixels_are_unsigned_16_bit_with_overscan(tiny: Path) -> None:
    for path in tiny.glob("*.fits"):
        with fits.open(path) as hdus:
            assert len(hdus) == 1
            assert hdus[0].data.dtype == np.uint16
            assert hdus[0].data.shape == (64, 96 + 32)
            assert hdus[0].header["BZERO"] == 32768


def test_headers_say_what_an_observer_needs(tiny: Path) -> None:
    truth = read_truth(truth_path(tiny, TINY))
    for header, exposure in zip(headers(tiny), truth.exposures, strict=True):
        assert header["SITEID"] == "SIMOBS"
        assert header["DAY-OBS"] == "20260719"
        assert header["EXPTIME"] == exposure.exposure_time_s
        assert (header["GAIN"], header["RDNOISE"], header["SATURATE"]) == (
            truth.gain,
            truth.read_noise,
            truth.saturate,
        )
        assert (header["TRIMSEC"], header["BIASSEC"]) == ("[1:96,1:64]", "[97:128,1:64]")
        start = dt.datetime.fromisoformat(header["DATE-OBS"]).replace(tzinfo=dt.UTC)
        assert start == exposure.start
        assert TINY.noon <= start < TINY.noon + dt.timedelta(days=1)
        assert header["MJD-OBS"] == pytest.approx(start.timestamp() / 86400 + 40587, abs=1e-7)
        assert {"TELESCOP", "INSTRUME", "OBJECT", "IMAGETYP", "CCDSUM", "PIXSCALE"} <= set(header)
        if exposure.sky is not None:
            assert header["OBJECT"] == truth.objects[0].name
            assert 1 <= header["AIRMASS"] < 3
            assert (header["RA"], header["DEC"]) == pytest.approx((exposure.sky.ra, exposure.sky.dec), abs=1e-6)
            assert WCS(header).has_celestial


def test_a_compressed_exposure_is_an_fpacked_sci_extension_with_the_same_pixels(tiny: Path, tmp_path: Path) -> None:
    simulate_night(tmp_path, changed(TINY, compress=True))
    for path in sorted(tiny.glob("*.fits")):
        with fits.open(tmp_path / f"{path.name}.fz") as packed, fits.open(path) as plain:
            assert isinstance(packed["SCI"], fits.CompImageHDU)
            assert packed["SCI"].data.dtype == np.uint16
            np.testing.assert_array_equal(packed["SCI"].data, plain[0].data)
            for keyword in ("OBSTYPE", "EXPTIME", "GAIN", "DATE-OBS"):
                assert packed["SCI"].header[keyword] == plain[0].header[keyword]


def test_the_truth_is_read_as_it_was_written(tmp_path: Path) -> None:
    truth = simulate_night(tmp_path / "night", TINY, truth_folder=tmp_path / "truth")
    assert read_truth(tmp_path / "truth" / "SIMOBS-20260719-truth.json") == truth
    assert not (tmp_path / "night" / ".truth").exists()


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"site": 3}'])
def test_a_file_that_is_no_truth_is_told(tmp_path: Path, text: str) -> None:
    path = tmp_path / "truth.json"
    path.write_text(text)
    with pytest.raises(Alert, match=r"truth\.json: "):
        read_truth(path)
    with pytest.raises(Alert, match="cannot be read"):
        read_truth(tmp_path / "none.json")


class Calibrated:
    """A night that is calibrated with plain numpy, in electrons."""

    def __init__(self, folder: Path, truth: NightTruth) -> None:
        self.folder, self.truth = folder, truth
        self.bias = np.median(self.trimmed("BIAS"), axis=0)
        times = [one.exposure_time_s for one in truth.exposures if one.kind == "DARK"]
        self.dark = np.median(self.trimmed("DARK") - self.bias, axis=0) / times[0]
        flats = self.trimmed("SKYFLAT") - self.bias
        self.flat = np.median([flat / np.median(flat) for flat in flats], axis=0)
        seconds = next(one.exposure_time_s for one in truth.exposures if one.kind == "EXPOSE")
        science = (self.trimmed("EXPOSE") - self.bias - self.dark * seconds) / np.maximum(self.flat, 0.01)
        self.science: NDArray[np.float64] = science * truth.gain

    def trimmed(self, kind: str) -> NDArray[np.float64]:
        columns = self.truth.shape[1]
        raw = [
            fits.getdata(self.folder / one.name).astype(float) for one in self.truth.exposures if one.kind == kind
        ]
        return np.array([frame[:, :columns] - np.median(frame[:, columns:]) for frame in raw])


SKY = changed(
    TINY, shape=(480, 512), filters=("rp",), exposures=4, biases=9, darks=5, flats=7, exposure_time_s=60.0
)


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory: pytest.TempPathFactory) -> Calibrated:
    folder = tmp_path_factory.mktemp("sky")
    return Calibrated(folder, simulate_night(folder, SKY))


def isolated_stars(night: Calibrated) -> list[tuple[float, NDArray[np.float64], NDArray[np.float64]]]:
    """Electrons per second, and x and y in each exposure, of bright stars away from others and from bad columns."""
    truth, stars = night.truth, night.truth.objects[0].stars
    names = [one.name for one in truth.exposures if one.sky is not None]
    places = np.array(
        [WCS(fits.getheader(night.folder / name)).wcs_world2pix(stars.ra, stars.dec, 0) for name in names]
    )
    flux = np.array(stars.electrons_per_s["rp"])
    rows, columns = truth.shape
    bad = np.array([one.column for one in truth.bad_columns])
    found = []
    for index in range(flux.size):
        x, y = places[:, 0, index], places[:, 1, index]
        inside = x.min() > 15 and y.min() > 15 and x.max() < columns - 16 and y.max() < rows - 16
        distance = np.hypot(places[0, 0] - x[0], places[0, 1] - y[0])
        alone = flux[distance < 18].sum() < 1.01 * flux[index]
        if inside and alone and np.abs(bad[:, None] - x).min() > 12 and flux[index] > 60:
            found.append((flux[index], x, y))
    assert len(found) > 15
    return found


def disc(shape: tuple[int, ...], x: float, y: float, radius: float) -> NDArray[np.bool_]:
    rows, columns = np.indices(shape)
    return np.asarray(np.hypot(columns - x, rows - y) < radius)


def test_the_wcs_predicts_where_the_stars_are(calibrated: Calibrated) -> None:
    for _, xs, ys in isolated_stars(calibrated)[:6]:
        for frame, x, y in zip(calibrated.science, xs, ys, strict=True):
            inside = disc(frame.shape, x, y, 5)
            rows, columns = np.nonzero(inside)
            weights = frame[inside] - np.median(frame)
            # The disc is cut in whole pixels, so a centroid is good to a tenth of a pixel or so.
            assert np.average(columns, weights=weights) == pytest.approx(x, abs=0.2)
            assert np.average(rows, weights=weights) == pytest.approx(y, abs=0.2)


def test_pointings_are_dithered_and_rotated_a_little(calibrated: Calibrated) -> None:
    skies = [one.sky for one in calibrated.truth.exposures if one.sky is not None]
    assert len({sky.dither_px for sky in skies}) == len(skies)
    assert max(abs(value) for sky in skies for value in sky.dither_px) <= 8
    assert 0 < np.ptp([sky.rotation_deg for sky in skies]) <= 0.1


def test_photometry_of_calibrated_frames_is_true_within_the_noise(calibrated: Calibrated) -> None:
    truth, radius = calibrated.truth, 8.0
    skies = [one.sky for one in truth.exposures if one.sky is not None]
    pulls = []
    for flux, xs, ys in isolated_stars(calibrated):
        measured, variance = [], 0.0
        for frame, sky, x, y in zip(calibrated.science, skies, xs, ys, strict=True):
            inside = disc(frame.shape, x, y, radius)
            around = disc(frame.shape, x, y, 15) & ~disc(frame.shape, x, y, 11)
            alpha = sky.seeing_arcsec / truth.pixel_scale_arcsec / 2 / np.sqrt(2 ** (1 / 3) - 1)
            within = 1 - (1 + radius**2 / alpha**2) ** -2
            wing = 2 / (np.pi * alpha**2) * (1 + 13**2 / alpha**2) ** -3
            background = np.median(frame[around]) - flux * 60 * wing
            measured.append((frame[inside] - background).sum() / within / 60)
            n = inside.sum()
            pixel = sky.electrons_per_s * 60 + truth.read_noise**2
            # Shot noise, background, and 0.1 % for the master flat and the disc's edge of whole pixels.
            variance += (flux * 60 + n * pixel * (1 + 1.6 * n / around.sum())) / 60**2 + (flux * 2e-3) ** 2
        pulls.append((np.mean(measured) - flux) / (np.sqrt(variance) / len(measured)))
    assert np.abs(pulls).max() < 4
    assert 0.4 < np.std(pulls) < 1.6
    assert abs(np.mean(pulls)) < 3.5 / np.sqrt(len(pulls))


def test_the_read_noise_and_the_gain_are_those_of_the_header(calibrated: Calibrated) -> None:
    truth = calibrated.truth
    first, second = calibrated.trimmed("BIAS")[:2]
    assert np.std(first - second) / np.sqrt(2) * truth.gain == pytest.approx(truth.read_noise, rel=0.03)
    flat = calibrated.trimmed("SKYFLAT")[0] - calibrated.bias
    noise = flat / calibrated.flat - np.median(flat)
    middle = np.abs(noise) < 5 * np.std(noise[np.abs(noise) < 2000])
    # The variance in ADU is the level over the gain; a seventh more from the master flat, roughly.
    assert np.median(flat) / np.var(noise[middle]) == pytest.approx(truth.gain, rel=0.35)


def test_bad_columns_deviate_and_no_others(calibrated: Calibrated) -> None:
    truth = calibrated.truth
    kinds = {bad.column: bad.kind for bad in truth.bad_columns}
    assert sorted(kinds.values()) == ["dead", "dead", "hot"]
    dead = np.nonzero(np.median(calibrated.flat, axis=0) < 0.5)[0]
    hot = np.nonzero(np.median(calibrated.dark, axis=0) > 5)[0]
    assert {*dead.tolist()} == {column for column, kind in kinds.items() if kind == "dead"}
    assert hot.tolist() == [column for column, kind in kinds.items() if kind == "hot"]


def test_hot_pixels_stand_out_of_the_dark(calibrated: Calibrated) -> None:
    truth = calibrated.truth
    good = np.ones(truth.shape[1], bool)
    good[[bad.column for bad in truth.bad_columns]] = False
    found = int((calibrated.dark[:, good] * truth.gain > 0.9).sum())
    assert found == pytest.approx(truth.hot_pixels, abs=3)


def test_nothing_exceeds_the_full_well_but_for_noise(tmp_path: Path) -> None:
    plan = changed(TINY, scenario=Scenario.SATURATED, filters=("rp",))
    truth = simulate_night(tmp_path, plan)
    frame = fits.getdata(tmp_path / truth.exposures[-1].name)
    assert truth.saturate < frame.max() < 62_100
    assert 0.02 < np.mean(frame >= truth.saturate) < 0.6


def test_cosmic_rays_come_with_time(tmp_path: Path) -> None:
    truth = simulate_night(tmp_path, changed(TINY, exposure_time_s=1800.0, darks=3, exposures=0))
    darks = np.array(
        [fits.getdata(tmp_path / one.name)[:, :96].astype(int) for one in truth.exposures if one.kind == "DARK"]
    )
    spikes = darks - np.median(darks, axis=0) > 200
    assert 5 < np.count_nonzero(spikes[0]) < 500


@pytest.mark.parametrize("scenario", list(Scenario))
def test_a_scenario_is_seen_in_the_files(tmp_path: Path, scenario: Scenario) -> None:
    truth = simulate_night(tmp_path, changed(TINY, scenario=scenario))
    found = headers(tmp_path)
    kinds = [header["OBSTYPE"] for header in found]
    assert kinds.count("SKYFLAT") == (2 if scenario is Scenario.FEW_FLATS else 4)
    assert kinds.count("EXPOSE") == (0 if scenario is Scenario.NO_SCIENCE else 4)
    has_wcs = {"CTYPE1" in header for header in found if header["OBSTYPE"] == "EXPOSE"}
    assert has_wcs == {Scenario.NO_WCS: {False}, Scenario.NO_SCIENCE: set()}.get(scenario, {True})
    bias = fits.getdata(tmp_path / truth.exposures[0].name)[:, 96:].astype(float)
    is_noisy = scenario is Scenario.NOISY_BIAS
    assert (bias.std() * truth.gain > 3 * truth.read_noise) == is_noisy
    assert (abs(np.median(bias) - truth.bias_level) > 50) == is_noisy
    passed = [one.sky.transmission for one in truth.exposures if one.sky is not None]
    if scenario is Scenario.CLOUDS:
        assert max(passed) < 0.01
    elif scenario is not Scenario.SATURATED:
        assert set(passed) <= {1.0}


def test_fields_have_the_same_stars_night_after_night_and_dust_creeps(tmp_path: Path) -> None:
    flats = []
    truths = []
    for days in (0, 1, 10):
        plan = changed(TINY, date=DATE + dt.timedelta(days=days), filters=("rp",), flats=5)
        truths.append(simulate_night(tmp_path, plan))
        names = [one.name for one in truths[-1].exposures if one.kind == "SKYFLAT"]
        frames = [fits.getdata(tmp_path / name)[:, :96] - truths[-1].bias_level for name in names]
        flats.append(np.mean([frame / np.median(frame) for frame in frames], axis=0))
    assert truths[0].objects == truths[1].objects
    assert np.std(flats[2] - flats[0]) > np.std(flats[1] - flats[0])
    assert np.corrcoef(flats[0].ravel(), flats[1].ravel())[0, 1] > 0.9


def test_a_stopped_night_has_whole_files_only(tmp_path: Path) -> None:
    stop, seen = threading.Event(), []

    def tell(path: Path) -> None:
        seen.append(path)
        assert path.stat().st_size % 2880 == 0
        if len(seen) == 3:
            stop.set()

    truth = simulate_night(tmp_path, TINY, on_exposure=tell, stop=stop)
    assert len(truth.exposures) == count_exposures(TINY)
    assert sorted(path for path in tmp_path.iterdir() if path.is_file()) == seen
    assert len(seen) == 3


def test_a_stop_ends_the_wait_for_the_next_exposure(tmp_path: Path) -> None:
    stop = threading.Event()
    simulate_night(tmp_path, changed(TINY, pace_s=3600.0), on_exposure=lambda _path: stop.set(), stop=stop)
    assert len(list(tmp_path.glob("*.fits"))) == 1


@pytest.mark.faults
def test_a_killed_night_has_whole_files_only(tmp_path: Path) -> None:
    code = f"""
import datetime, pathlib
from runstart.simulators import NightPlan, simulate_night
plan = NightPlan(date=datetime.date(2026, 7, 19), shape=(512, 512), biases=900, darks=0)
simulate_night(pathlib.Path({str(tmp_path)!r}), plan, on_exposure=lambda path: print(path.name, flush=True))
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env={**os.environ})
    assert process.stdout is not None
    for _ in range(5):
        assert process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    files = list(tmp_path.glob("*.fits"))
    assert len(files) >= 5
    for path in files:
        assert fits.getdata(path).shape == (512, 544)


@pytest.mark.parametrize("where", ["file", "file/below"])
def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path, where: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Alert, match="cannot be written"):
        simulate_night(tmp_path / where, TINY)
