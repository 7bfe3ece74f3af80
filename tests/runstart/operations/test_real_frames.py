"""Real frames through every operation, compared with numpy and astropy; only where they are at hand."""

from __future__ import annotations

import shutil
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.stats import mad_std, sigma_clip
from data_operation_kit import Bench
from real_data import find_real_frames

from runstart.errors import Alert
from runstart.images import MaskBit

_FRAMES = find_real_frames()
pytestmark = pytest.mark.skipif(_FRAMES is None, reason="the real frames are not here")

PAIR = ["night/lco_1.fits.fz", "night/lco_2.fits.fz"]
COLORS = ["night/lco_red.fits", "night/lco_green.fits", "night/lco_blue.fits"]
RAW = "night/a8280271.fits"


@pytest.fixture
def real(bench: Bench) -> Bench:
    assert _FRAMES is not None
    for path in _FRAMES.iterdir():
        shutil.copyfile(path, bench.folder / path.name)
    return bench


def _data(bench: Bench, reference: str) -> np.ndarray[Any, Any]:
    with fits.open(bench.folder / reference.partition("/")[2]) as file:
        hdu = file["SCI"] if "SCI" in file else file[0]
        return np.array(hdu.data, hdu.data.dtype.newbyteorder("="))


def test_median(real: Bench) -> None:
    for files in (PAIR, COLORS, [*PAIR, *COLORS]):
        made = real.run_one("Median", input_files=files)
        np.testing.assert_array_equal(made.data, np.median([_data(real, f) for f in files], axis=0))


def test_stacking(real: Bench) -> None:
    made = real.run_one("Stacking", input_files=COLORS)
    np.testing.assert_allclose(made.data, np.nansum([_data(real, f) for f in COLORS], axis=0), rtol=1e-6)


def test_subtraction(real: Bench) -> None:
    made = real.run("Subtraction", input_files=[*COLORS, RAW], subtraction_file=PAIR[:1])
    other = _data(real, PAIR[0])
    for reference, one in zip(sorted([*COLORS, RAW]), made, strict=True):
        np.testing.assert_array_equal(one.data, _data(real, reference)[:100, :100].astype("f4") - other)


def test_normalization(real: Bench) -> None:
    (made,) = real.run("Normalization", input_files=[RAW])
    image = _data(real, RAW).astype("f4")
    np.testing.assert_array_equal(made.data, image / np.median(image))


def test_increase_brightness(real: Bench) -> None:
    (made,) = real.run("Increase Brightness", input_files=[RAW], brightness=100)
    np.testing.assert_array_equal(made.data, _data(real, RAW) + 100.0)


def test_color_image(real: Bench) -> None:
    channels = []
    for k, reference in enumerate(COLORS):
        image = _data(real, reference)
        color = dict.fromkeys("rgb", 0) | {"rgb"[k]: 255}
        limits = {"zmin": float(np.median(image)), "zmax": float(np.percentile(image, 99.5))}
        channels.append({"source": "night", "basename": reference.partition("/")[2], "color": color, **limits})
    (output,) = real.compute("Color Image", color_channels=channels, alignment="none").entry.outputs
    picture = real.picture(output)[::-1]
    for k, (reference, channel) in enumerate(zip(COLORS, channels, strict=True)):
        low, high = channel["zmin"], channel["zmax"]
        scaled = np.clip((_data(real, reference).astype(float) - low) / (high - low), 0, 1) * 255
        expected = 256 * (np.rint(scaled) / 256) ** 0.4
        assert np.abs(picture[..., k] - np.clip(expected, 0, 255)).max() <= 2
    (aligned,) = real.compute("Color Image", color_channels=channels).entry.outputs
    assert aligned.figures["alignment"] in {"catalog", "stars"} or aligned.figures["not_aligned"]


def test_mean_stack(real: Bench) -> None:
    files = [*PAIR, *COLORS] * 3  # so many that outliers are found by sigma clipping
    made = real.run_one("Mean Stack", input_files=files, sigma=1.5)
    stack = np.array([_data(real, f) for f in files], np.float64)
    expected = sigma_clip(stack, sigma=1.5, maxiters=5, axis=0).mean(axis=0)
    np.testing.assert_allclose(made.data, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "how"), [("Stacking", {"stacking_mode": "reproject"}), ("Mean Stack", {"registration": "wcs"})]
)
def test_cut_outs_without_a_wcs_are_named(real: Bench, name: str, how: dict[str, str]) -> None:
    with pytest.raises(Alert, match=r"lco_1\.fits\.fz has no WCS"):
        real.compute(name, input_files=PAIR, **how)


@pytest.mark.parametrize("reference", [*PAIR, *COLORS])
def test_background_subtraction(real: Bench, reference: str) -> None:
    made = real.run_one("Background Subtraction", input_files=[reference], box=50)
    image = _data(real, reference)
    removed = image - made.data
    clipped = sigma_clip(image, sigma=3)
    assert np.median(removed) == pytest.approx(np.ma.median(clipped), abs=2 * clipped.std())
    assert np.abs(np.diff(removed, axis=0)).max() < clipped.std()  # it is smooth


def test_calibration_of_a_frame_with_overscan(real: Bench) -> None:
    raw = _data(real, RAW).astype(np.float64)
    overscan, data = raw[:, 3:13], raw[:, 16:528]
    made = real.run_one("Calibration", input_files=[RAW], cosmic_rays="keep")
    assert made.data.shape == (520, 512)
    plain = (data - np.median(overscan)) * 1.9
    # Level by level the overscan wanders by less than its own noise.
    assert np.abs(made.data - plain).max() < 1.9 * 3 * overscan.std()
    assert np.median(made.data - plain) == pytest.approx(0, abs=1.9)
    np.testing.assert_allclose(made.planes["ERR"], np.sqrt(np.maximum(made.data, 0) + 5.0**2), rtol=1e-4)
    assert made.header["BUNIT"] == "electron"
    assert made.header["OBJECT"].strip() == "rf0420"
    assert not {"BIASSEC", "TRIMSEC"} & set(made.header)
    assert made.figures["gain"] == 1.9
    assert made.figures["read_noise"] == 5.0


def test_cosmic_rays_of_a_long_exposure(real: Bench) -> None:
    made = real.run_one("Calibration", input_files=[RAW])
    hit = made.planes["BPM"] & MaskBit.COSMIC_RAY != 0
    assert 10 < hit.sum() < 0.01 * hit.size
    kept = real.run_one("Calibration", input_files=[RAW], cosmic_rays="flag")
    noise = mad_std(kept.data)
    assert np.median(kept.data[hit] - made.data[hit]) > 5 * noise
    np.testing.assert_array_equal(made.data[~hit], kept.data[~hit])


def test_masters_of_a_frame_divide_it_out(real: Bench) -> None:
    bias = real.run_one("Master Bias", input_files=[RAW])
    assert bias.data.shape == (520, 512)
    dark = real.run_one("Master Dark", input_files=[RAW])
    np.testing.assert_allclose(dark.data, bias.data / 150.04, rtol=1e-5)
    flat = real.run_one(
        "Master Flat", input_files=[{"source": "night", "basename": "a8280271.fits", "filter": "48"}]
    )
    stored = [{"source": "store", "basename": flat.output.basename}]
    made = real.run_one("Calibration", input_files=[RAW], flat_file=stored, cosmic_rays="keep")
    good = made.planes["BPM"] == 0
    middle = np.median(bias.data[130:390, 128:384])
    np.testing.assert_allclose(made.data[good], middle * 1.9, rtol=1e-3)
    nothing = real.run_one(
        "Calibration",
        input_files=[RAW],
        bias_file=[{"source": "store", "basename": bias.output.basename}],
        cosmic_rays="keep",
    )
    assert np.abs(nothing.data).max() < 1e-2


def test_source_catalog(real: Bench) -> None:
    made = real.run_one("Calibration", input_files=[RAW])
    stored = [{"source": "store", "basename": made.output.basename}]
    found = real.run_one("Source Catalog", input_files=stored)
    table = found.planes["CAT"]
    assert found.figures["sources"] == len(table) > 10
    sky = np.median(made.data)
    assert not table["flag"][:2].any()
    for row in table[:2]:  # the frame's upper edge saw no light: there are doubtful sources below it
        x, y = round(row["x"]) - 1, round(row["y"]) - 1
        assert made.data[max(y - 2, 0) : y + 3, max(x - 2, 0) : x + 3].max() > sky + 5 * mad_std(made.data)


def test_cosmic_ray_rejection(real: Bench) -> None:
    for reference in [*PAIR, *COLORS]:
        made = real.run_one("Cosmic Ray Rejection", input_files=[reference])
        untouched = made.planes["BPM"] == 0
        np.testing.assert_array_equal(made.data[untouched], _data(real, reference)[untouched])
