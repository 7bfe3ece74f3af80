"""Masters and calibration, compared with what was put into the frames."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_operation_kit import Bench, Made, sky_header
from star_fields import add_stars

from runstart.errors import Alert
from runstart.images import MaskBit, make_master, middle_level

SHAPE = (80, 100)
WIDE = (80, 116)  # with an overscan of 10 columns, and margins
SECTIONS = {"BIASSEC": "[4:13,1:80]", "TRIMSEC": "[17:116,1:80]"}
GAIN, READ_NOISE = 2.0, 6.0
DATA = slice(16, 116)


def _frame(rng: np.random.Generator, adu: Any, header: dict[str, Any], level: float = 300.0) -> tuple[Any, Any]:
    frame = rng.normal(level, READ_NOISE / GAIN, WIDE)
    frame[:, DATA] += adu
    return np.clip(np.rint(frame), 0, 65535).astype("u2"), {
        **SECTIONS,
        "GAIN": GAIN,
        "RDNOISE": READ_NOISE,
        **header,
    }


def _put_frames(bench: Bench, stem: str, n: int, adu: Any, **header: Any) -> list[str]:
    rng = np.random.default_rng(sum(map(ord, stem)))
    return [
        bench.put(f"{stem}{k:02d}.fits", *_frame(rng, rng.poisson(adu * GAIN) / GAIN, header, 300.0 + k))
        for k in range(n)
    ]


def _pattern() -> np.ndarray:
    """Return a flat field with a dead column and a dust grain."""
    y, x = np.indices(SHAPE)
    flat = 1 - 0.2 * ((x - 50) ** 2 + (y - 40) ** 2) / 4000
    flat[:, 33] *= 0.2
    flat[10:14, 70:75] *= 0.8
    return flat


def _store(made: Made) -> str:
    return f"store/{made.output.basename}"


def test_a_master_bias_is_combined_without_overscan_and_trimmed(bench: Bench) -> None:
    structure = np.zeros(SHAPE)
    structure[:, 50] = 40.0
    references = _put_frames(bench, "bias", 6, structure, EXPTIME=0.0, CRPIX1=30.0)
    made = bench.run_one("Master Bias", input_files=references)
    assert made.data.shape == SHAPE
    assert np.median(made.data) == pytest.approx(0, abs=0.5)
    assert np.median(made.data[:, 50]) == pytest.approx(40, abs=1.5)
    assert made.planes["BPM"][:, 50].all()
    assert np.median(made.planes["ERR"]) == pytest.approx(3 * 1.2533 / np.sqrt(6), rel=0.1)
    assert made.figures["noise_adu"] == pytest.approx(3, rel=0.1)
    assert made.figures["overscan_adu"] == pytest.approx(302.5, abs=0.3)
    assert "BIASSEC" not in made.header
    assert "TRIMSEC" not in made.header
    assert made.header["CRPIX1"] == 14.0
    assert made.header["NCOMBINE"] == 6


@pytest.mark.parametrize("n", [1, 5, 14, 15, 16])
def test_masters_are_those_of_the_kernels_in_any_number_of_bands(tmp_path: Path, n: int) -> None:
    rng = np.random.default_rng(n)
    frames = [rng.normal(500, 5, (40, 50)).astype("f4") for _ in range(n)]
    bench = Bench.make(tmp_path, memory_limit=200_000)
    references = [bench.put(f"{k:02d}.fits", f, {"EXPTIME": 30.0, "FILTER": "rp"}) for k, f in enumerate(frames)]
    bias = rng.normal(100, 1, (40, 50)).astype("f4")
    bias_file = [bench.put("bias.fits", bias)]
    made = [
        bench.run_one("Master Bias", input_files=references),
        bench.run_one("Master Dark", input_files=references, bias_file=bias_file),
        bench.run_one("Master Flat", input_files=references, bias_file=bias_file),
    ]
    np.testing.assert_array_equal(made[0].data, make_master(frames))
    np.testing.assert_allclose(made[1].data, make_master([(f - bias) / 30 for f in frames]), rtol=1e-6)
    flat = make_master([(f - bias) / middle_level(f - bias) for f in frames])
    np.testing.assert_allclose(made[2].data, flat / middle_level(flat), rtol=1e-6)


def test_a_night_comes_back_in_electrons_with_its_noise(bench: Bench) -> None:
    flat = _pattern()
    bias_pattern, dark_rate = np.zeros(SHAPE), np.full(SHAPE, 0.2)
    bias_pattern[:, ::4] += 20.0
    dark_rate[60, 60] = 40.0
    bias = bench.run_one("Master Bias", input_files=_put_frames(bench, "bias", 15, bias_pattern))
    darks = _put_frames(bench, "dark", 7, bias_pattern + dark_rate * 60, EXPTIME=60.0)
    dark = bench.run_one("Master Dark", input_files=darks, bias_file=[_store(bias)])
    assert dark.figures["dark_adu_per_s"] == pytest.approx(0.2, abs=0.03)
    assert dark.planes["BPM"][60, 60] == MaskBit.BAD
    lights = {"FILTER": "rp", "EXPTIME": 5.0}
    flats = _put_frames(bench, "flat", 7, bias_pattern + dark_rate * 5 + 20_000 * flat, **lights)
    master_flat = bench.run_one(
        "Master Flat", input_files=flats, bias_file=[_store(bias)], dark_file=[_store(dark)]
    )
    good = master_flat.planes["BPM"] == 0
    middle = np.median(flat[20:60, 25:75])
    np.testing.assert_allclose(master_flat.data[good], (flat / middle)[good], atol=0.02)
    assert master_flat.planes["BPM"][:, 33].all()

    truth = np.full(SHAPE, 150.0)
    add_stars(truth, [60.3], [30.7], [50_000.0], 3.0)
    adu = bias_pattern + dark_rate * 100 + truth * flat / GAIN
    header = {"EXPTIME": 100.0, "FILTER": "rp", "SATURATE": 60_000.0, **sky_header(WIDE)}
    raw = _put_frames(bench, "star", 1, adu, **header)
    made = bench.run_one(
        "Calibration",
        input_files=raw,
        bias_file=[_store(bias)],
        dark_file=[_store(dark)],
        flat_file=[_store(master_flat)],
        cosmic_rays="keep",
    )
    good = made.planes["BPM"] == 0
    pull = ((made.data - truth * middle) / made.planes["ERR"])[good]
    assert abs(pull.mean()) < 0.1
    assert pull.std() == pytest.approx(1, abs=0.12)
    assert made.planes["BPM"][60, 60] & MaskBit.BAD
    assert (made.planes["BPM"][:, 33] & MaskBit.BAD).all()
    assert made.header["BUNIT"] == "electron"
    assert made.header["GAIN"] == 1.0
    assert made.header["SATURATE"] == 120_000.0
    assert made.header["CRPIX1"] == sky_header(WIDE)["CRPIX1"] - 16
    assert not {"BIASSEC", "TRIMSEC"} & set(made.header)


@pytest.mark.parametrize(("how", "is_cleaned", "is_flagged"), [("reject", 1, 1), ("flag", 0, 1), ("keep", 0, 0)])
def test_cosmic_rays_are_rejected_flagged_or_kept(bench: Bench, how: str, is_cleaned: int, is_flagged: int) -> None:
    rng = np.random.default_rng(1)
    frame = rng.normal(500, 10, SHAPE)
    frame[30, 40:43] += 9000
    reference = bench.put("a.fits", frame.astype("u2"), {"GAIN": 1.0, "RDNOISE": 5.0, "SATURATE": 60000})
    made = bench.run_one("Calibration", input_files=[reference], cosmic_rays=how)
    hit = made.data[30, 40:43]
    assert (hit < 1000).all() == bool(is_cleaned)
    assert (made.planes["BPM"][30, 40:43] == (MaskBit.COSMIC_RAY if is_flagged else 0)).all()
    assert ("cosmic_ray_pixels" in made.figures) == (how != "keep")


def test_saturation_counts_before_the_overscan_is_subtracted(bench: Bench) -> None:
    frame = np.full(WIDE, 1000, "u2")
    frame[40, 50] = 50_000
    frame[41, 50] = 49_999
    header = {**SECTIONS, "GAIN": 1.0, "RDNOISE": 5.0, "SATURATE": 50_000}
    made = bench.run_one("Calibration", input_files=[bench.put("a.fits", frame, header)], cosmic_rays="keep")
    assert np.argwhere(made.planes["BPM"]).tolist() == [[40, 34]]
    assert made.figures["saturated_pixels"] == 1


def test_a_full_pixel_is_saturated_whatever_the_level_of_its_row(bench: Bench) -> None:
    frame = np.rint(np.random.default_rng(5).normal(300, 3, WIDE) + np.arange(80)[:, None] / 4).astype("u2")
    frame[5:75:5, 60] = 65_535
    header = {**SECTIONS, "GAIN": 1.0, "RDNOISE": 3.0, "SATURATE": 65_535}
    made = bench.run_one("Calibration", input_files=[bench.put("a.fits", frame, header)], cosmic_rays="keep")
    assert np.argwhere(made.planes["BPM"] & MaskBit.SATURATED).tolist() == [[row, 44] for row in range(5, 75, 5)]


def test_what_is_taken_for_granted_is_told(bench: Bench) -> None:
    made = bench.run_one("Calibration", input_files=[bench.put("a.fits", np.ones(SHAPE, "f4"))])
    history = " ".join(made.header["HISTORY"])
    assert "no gain in the header: 1 electron per ADU" in history
    assert "no read noise in the header: 0 is taken for granted" in history


def test_without_a_read_noise_that_of_the_overscan_is_taken(bench: Bench) -> None:
    rng = np.random.default_rng(2)
    data, header = _frame(rng, 100.0, {})
    del header["RDNOISE"]
    made = bench.run_one("Calibration", input_files=[bench.put("a.fits", data, header)])
    assert made.figures["read_noise"] == pytest.approx(READ_NOISE, rel=0.1)


def test_masters_without_a_mask_show_their_bad_pixels(bench: Bench) -> None:
    rng = np.random.default_rng(3)
    flat = rng.normal(1, 0.005, SHAPE).astype("f4")
    flat[20, 21] = 0.01
    flat[30, 31] = np.nan
    references = [bench.put("a.fits", np.full(SHAPE, 500, "u2")), bench.put("flat.fits", flat)]
    made = bench.run_one("Calibration", input_files=references[:1], flat_file=references[1:], cosmic_rays="keep")
    expected = MaskBit.BAD | MaskBit.NO_FLAT
    assert made.planes["BPM"][20, 21] == made.planes["BPM"][30, 31] == expected
    assert np.isfinite(made.data).all()


def test_the_mask_of_a_raw_frame_is_trimmed_and_kept(bench: Bench) -> None:
    data, header = _frame(np.random.default_rng(4), 100.0, {})
    mask = np.zeros(WIDE, "u1")
    mask[10, 16 + 20] = MaskBit.COSMIC_RAY
    mask[10, 2] = MaskBit.BAD
    made = bench.run_one("Calibration", input_files=[bench.put("a.fits", data, header, mask=mask)])
    assert np.argwhere(made.planes["BPM"]).tolist() == [[10, 20]]
    assert made.planes["BPM"][10, 20] == MaskBit.COSMIC_RAY


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"GAIN": -1.0}, r"raw\.fits: the gain is -1.*above 0"),
        ({"GAIN": "high"}, r"raw\.fits: GAIN is 'high', which is no number"),
        ({"BIASSEC": "[4:13,1:81]"}, r"raw\.fits: .*section.*\[4:13,1:81\]"),
        ({"TRIMSEC": "left half"}, r"raw\.fits: .*no section"),
        ({"BUNIT": "electron"}, r"raw\.fits is in electrons: it is calibrated already"),
        ({"EXPTIME": None}, r"raw\.fits has no exposure time"),
    ],
)
def test_a_wrong_header_is_named(bench: Bench, change: dict[str, Any], text: str) -> None:
    header = {**SECTIONS, "GAIN": GAIN, "RDNOISE": READ_NOISE, "EXPTIME": 1.0, **change}
    header = {key: value for key, value in header.items() if value is not None}
    raw = bench.put("raw.fits", np.full(WIDE, 300, "u2"), header)
    dark = bench.put("dark.fits", np.zeros(SHAPE, "f4"), {"BUNIT": "adu/s"})
    with pytest.raises(Alert, match=text):
        bench.compute("Calibration", input_files=[raw], dark_file=[dark])


def test_a_master_of_another_shape_is_named(bench: Bench) -> None:
    raw, bias = bench.put("raw.fits", np.ones((20, 30), "f4")), bench.put("bias.fits", np.ones((20, 31), "f4"))
    with pytest.raises(Alert, match=r"raw\.fits is of shape \(20, 30\) without overscan, bias\.fits of \(20, 31\)"):
        bench.compute("Calibration", input_files=[raw], bias_file=[bias])


@pytest.mark.parametrize("name", ["Master Bias", "Master Dark", "Master Flat"])
def test_a_frame_of_another_shape_is_named(bench: Bench, name: str) -> None:
    header = {"EXPTIME": 1.0, "FILTER": "rp"}
    references = [bench.put(f"{k}.fits", np.ones((20, 30 + k), "f4"), header) for k in range(2)]
    with pytest.raises(Alert, match=r"1\.fits is of shape \(20, 31\), 0\.fits of \(20, 30\)"):
        bench.compute(name, input_files=references)


def test_a_flat_without_light_is_named(bench: Bench) -> None:
    references = [bench.put(f"{k}.fits", np.full((20, 30), k, "f4"), {"FILTER": "rp"}) for k in (1, 0)]
    with pytest.raises(Alert, match=r"0\.fits: The flat field has no light in its middle"):
        bench.compute("Master Flat", input_files=references)


def test_a_dark_without_time_is_named(bench: Bench) -> None:
    reference = bench.put("a.fits", np.ones((20, 30), "f4"), {"EXPTIME": 0.0})
    with pytest.raises(Alert, match=r"a\.fits was exposed for 0 s"):
        bench.compute("Master Dark", input_files=[reference])


def test_flats_of_two_filters_are_refused(bench: Bench) -> None:
    references = [bench.put(f"{f}.fits", np.ones((20, 30), "f4"), {"FILTER": f}) for f in ("gp", "rp")]
    with pytest.raises(Alert, match="mixes filters"):
        bench.compute("Master Flat", input_files=references)


@pytest.mark.parametrize(
    ("kind", "level", "header", "text"),
    [
        ("dark", 300.0, {"EXPTIME": 100.0}, r"of one second: its exposure time is 100 s.*Master Dark"),
        ("dark", 300.0, {"EXPTIME": 100.0, "BUNIT": "adu"}, r"of one second: its exposure time is 100 s"),
        ("dark", 300.0, {}, r"of one second: it does not say.*Master Dark"),
        ("dark", 3.0, {"EXPTIME": 1.0, "BUNIT": "electron"}, r"is in electron: it is no master dark"),
        ("flat", 30_000.0, {"FILTER": "rp"}, r"is 3e\+04 in its middle: it is no master flat.*Master Flat"),
        ("flat", np.nan, {}, r"has no|is nan in its middle"),
        ("bias", 300.0, {"BUNIT": "electron"}, r"is in electron: it is no master bias.*Master Bias"),
        ("bias", 0.2, {"BUNIT": "adu/s"}, r"is in adu/s: it is no master bias"),
        ("bias", 1.0, {"BUNIT": ""}, r"has no unit, and is 1 in its middle: it is no master bias"),
    ],
)
def test_what_is_no_master_is_refused(
    bench: Bench, kind: str, level: float, header: dict[str, Any], text: str
) -> None:
    data = np.full(SHAPE, level, "f4")
    data[0, 0] = 1
    raw = bench.put("raw.fits", np.full(SHAPE, 500, "u2"), {"EXPTIME": 60.0})
    with pytest.raises(Alert, match=rf"given\.fits .*({text})"):
        bench.compute("Calibration", input_files=[raw], **{f"{kind}_file": [bench.put("given.fits", data, header)]})


@pytest.mark.parametrize(
    ("kind", "level", "header"),
    [
        ("dark", 0.1, {"BUNIT": "ADU / s", "EXPTIME": 100.0}),
        ("dark", 0.1, {"EXPTIME": 1.0}),
        ("flat", 0.97, {}),
        ("bias", 1.0, {}),
        ("bias", 300.0, {"BUNIT": ""}),
    ],
)
def test_masters_of_elsewhere_are_taken(bench: Bench, kind: str, level: float, header: dict[str, Any]) -> None:
    master = bench.put("given.fits", np.full(SHAPE, level, "f4"), header)
    raw = bench.put("raw.fits", np.full(SHAPE, 500, "u2"), {"EXPTIME": 60.0})
    assert bench.run_one("Calibration", input_files=[raw], **{f"{kind}_file": [master]}).data.shape == SHAPE
