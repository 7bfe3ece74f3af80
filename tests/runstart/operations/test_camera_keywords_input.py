"""Cameras with header keywords of their own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from data_operation_kit import Bench

from runstart.errors import Alert
from runstart.operation_kit import find_operations

USUAL = {
    "GAIN": 2.0,
    "RDNOISE": 6.0,
    "SATURATE": 50_000,
    "EXPTIME": 30.0,
    "BIASSEC": "[4:13,1:80]",
    "TRIMSEC": "[17:116,1:80]",
}
OWN = {
    "GAIN": "ESO DET OUT1 GAIN",
    "RDNOISE": "RN",
    "SATURATE": "MAXADU",
    "EXPTIME": "EXPO",
    "BIASSEC": "OVSEC",
    "TRIMSEC": "IMSEC",
}
KEYWORDS = "gain=NONE,ESO.DET.OUT1.GAIN read_noise=RN saturation=MAXADU exposure=EXPO bias_section=OVSEC data_section=IMSEC"
OPERATIONS = [operation.slug for operation in find_operations({}).values() if "keywords" in operation.inputs]


def put(bench: Bench, name: str, *, own: bool, **more: Any) -> str:
    """Put a raw frame, with its header in the usual keywords or in the camera's own."""
    rng = np.random.default_rng(sum(map(ord, name)))
    pixels = rng.normal(300, 3, (80, 116))
    pixels[:, 16:] += rng.normal(4000, 40, (80, 100))
    pixels[40, 50] = 50_000
    header = {(OWN[key] if own else key): value for key, value in USUAL.items()}
    return bench.put(f"{'own' if own else 'usual'}-{name}.fits", np.rint(pixels).astype("u2"), header | more)


def reduce(bench: Bench, *, own: bool, **more: Any) -> list[Any]:
    """Return master bias, dark, flat and a calibrated frame, of one camera or the other."""
    named = {"keywords": KEYWORDS} if own else {}
    frames = [put(bench, name, own=own, FILTER="rp", **more) for name in "abc"]
    bias = bench.run_one("Master Bias", input_files=frames, **named)
    masters = {"bias_file": [f"store/{bias.output.basename}"]}
    dark = bench.run_one("Master Dark", input_files=frames, **named)
    masters["dark_file"] = [f"store/{dark.output.basename}"]
    flat = bench.run_one("Master Flat", input_files=frames, **named)
    masters["flat_file"] = [f"store/{flat.output.basename}"]
    return [bias, dark, flat, bench.run_one("Calibration", input_files=frames[:1], **masters, **named)]


@pytest.mark.filterwarnings("ignore:Keyword name .ESO DET OUT1 GAIN.")
def test_a_camera_with_its_own_keywords_is_calibrated_as_one_with_the_usual(bench: Bench) -> None:
    for own, usual in zip(reduce(bench, own=True), reduce(bench, own=False), strict=True):
        np.testing.assert_array_equal(own.data, usual.data)
        for plane in ("ERR", "BPM"):
            np.testing.assert_array_equal(own.planes[plane], usual.planes[plane])
        assert own.figures == usual.figures
        assert not {"OVSEC", "IMSEC", "BIASSEC", "TRIMSEC"} & set(own.header)
    assert "taken_for_granted" not in own.figures


@pytest.mark.filterwarnings("ignore:Keyword name .ESO DET OUT1 GAIN.")
def test_headers_are_right_by_the_cameras_keywords_and_by_the_usual_ones(bench: Bench) -> None:
    # Here GAIN is the setting of an amplifier, as with many cameras.
    _, dark, _, made = reduce(bench, own=True, GAIN=120)
    assert dark.header["EXPO"] == dark.header["EXPTIME"] == 1.0
    assert made.header["ESO DET OUT1 GAIN"] == made.header["GAIN"] == 1.0
    assert made.header["RN"] == made.header["RDNOISE"] == 6.0
    assert made.header["MAXADU"] == made.header["SATURATE"] == 100_000
    assert made.header["EXPO"] == 30.0
    assert made.figures["gain"] == 2.0
    assert any("gain=NONE,ESO.DET.OUT1.GAIN" in line for line in made.header["HISTORY"])


@pytest.mark.filterwarnings("ignore:Keyword name .ESO DET OUT1 GAIN.")
def test_without_its_keywords_such_a_camera_is_not_calibrated_silently(bench: Bench) -> None:
    made = bench.run_one("Calibration", input_files=[put(bench, "a", own=True)])
    assert made.figures["gain"] == 1.0
    assert made.figures["taken_for_granted"] == "a gain of 1 electron per ADU and a read noise of 0"
    made = bench.run_one("Cosmic Ray Rejection", input_files=[put(bench, "a", own=True)])
    history = " ".join(made.header["HISTORY"])
    assert "no gain in the header" in history
    assert "no read noise in the header" in history


@pytest.mark.filterwarnings("ignore:Keyword name .ESO DET OUT1 GAIN.")
@pytest.mark.parametrize("name", ["Cosmic Ray Rejection", "Source Catalog"])
def test_operations_on_images_in_adu_read_the_cameras_keywords_too(bench: Bench, name: str) -> None:
    own = bench.run_one(name, input_files=[put(bench, "a", own=True)], keywords=KEYWORDS)
    usual = bench.run_one(name, input_files=[put(bench, "a", own=False)])
    np.testing.assert_array_equal(own.data, usual.data)
    assert own.figures == usual.figures
    assert own.planes.keys() == usual.planes.keys()
    for plane in own.planes:
        assert own.planes[plane].tobytes() == usual.planes[plane].tobytes()


def test_no_keyword_can_be_asked_for(bench: Bench) -> None:
    made = bench.run_one(
        "Calibration", input_files=[put(bench, "a", own=False)], keywords="bias_section= data_section="
    )
    assert made.data.shape == (80, 116)
    assert made.figures["overscan_adu"] == 0


def test_a_key_does_not_depend_on_how_usual_keywords_are_told(bench: Bench) -> None:
    raw = [put(bench, "a", own=False)]
    keys = {
        bench.compute("Calibration", input_files=raw, **more).entry.key
        for more in ({}, {"keywords": ""}, {"keywords": " gain=GAIN,EGAIN  read_noise=rdnoise,READNOIS,READNOISE "})
    }
    assert len(keys) == 1
    assert bench.compute("Calibration", input_files=raw, keywords="gain=GAIN").entry.key not in keys


def test_all_operations_that_read_cameras_headers_take_keywords() -> None:
    assert set(OPERATIONS) == {
        "master_bias",
        "master_dark",
        "master_flat",
        "calibration",
        "cosmic_ray_rejection",
        "source_catalog",
    }


@pytest.mark.parametrize("slug", OPERATIONS)
def test_a_wrong_text_is_told_before_anything_is_read(bench: Bench, slug: str) -> None:
    with pytest.raises(Alert, match=r"keywords: 'offset=X' does not name keywords.*meanings are gain, read_noise"):
        bench.compute(slug, input_files=["night/not-there.fits"], keywords="offset=X")
