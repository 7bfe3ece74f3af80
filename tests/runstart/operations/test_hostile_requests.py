"""What must not work: each an alert that names the file and a remedy, with nothing written but what was there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from data_operation_kit import Bench

from runstart.errors import Alert
from runstart.operation_kit import find_operation

SHAPE = (40, 50)
GOOD = np.random.default_rng(1).normal(1000, 30, SHAPE).astype("f4")

# Operation, input that takes the bad file, and how many it needs.
INPUTS = [
    ("median", "input_files", 2),
    ("stacking", "input_files", 2),
    ("mean_stack", "input_files", 2),
    ("subtraction", "input_files", 1),
    ("subtraction", "subtraction_file", 1),
    ("normalization", "input_files", 1),
    ("increase_brightness", "input_files", 1),
    ("color_image", "color_channels", 1),
    ("master_bias", "input_files", 1),
    ("master_dark", "bias_file", 1),
    ("master_flat", "input_files", 1),
    ("calibration", "input_files", 1),
    ("calibration", "flat_file", 1),
    ("cosmic_ray_rejection", "input_files", 1),
    ("background_subtraction", "input_files", 1),
    ("source_catalog", "input_files", 1),
]


def _truncated(path: Path) -> None:
    fits.PrimaryHDU(GOOD).writeto(path)
    path.write_bytes(path.read_bytes()[:5760])


def _truncated_packed(path: Path) -> None:
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(GOOD, name="SCI")]).writeto(path)
    path.write_bytes(path.read_bytes()[:9000])


def _table_only(path: Path) -> None:
    table = np.zeros(3, [("x", "f4"), ("y", "f4")])
    fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU(table, name="CAT")]).writeto(path)


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _text(path: Path) -> None:
    path.write_text("this is a picture of M51\n" * 200)


def _cube(path: Path) -> None:
    fits.PrimaryHDU(np.ones((3, *SHAPE), "f4")).writeto(path)


def _spectrum(path: Path) -> None:
    fits.PrimaryHDU(np.ones(50, "f4")).writeto(path)


def _only_nan(path: Path) -> None:
    fits.PrimaryHDU(np.full(SHAPE, np.nan, "f4")).writeto(path)


def _headless(path: Path) -> None:
    path.write_bytes(b"SIMPLE  =                    T".ljust(80) * 100)


WRITERS = [_truncated, _truncated_packed, _table_only, _empty, _text, _cube, _spectrum, _only_nan, _headless]


def _given(bench: Bench, slug: str, key: str, n: int) -> dict[str, Any]:
    """Return a request whose input `key` has the bad files, and whose others have a good one."""
    header = {"FILTER": "rp", "EXPTIME": 1.0}
    good = [bench.put(f"good{k}.fits", GOOD, header) for k in range(2)]
    bad = [{"source": "night", "basename": f"bad{k}.fits", "filter": "rp"} for k in range(n)]
    given: dict[str, Any] = {"brightness": 1.0} if slug == "increase_brightness" else {}
    for name, declared in find_operation(slug).inputs.items():
        if name == key:
            channel = {"color": {"r": 1, "g": 2, "b": 3}, "zmin": 0, "zmax": 1}
            given[name] = [{**one, **channel} for one in bad] if slug == "color_image" else bad
        elif declared.required and name not in given:
            given[name] = good[:1]
    return given


@pytest.mark.parametrize("write", WRITERS, ids=lambda write: write.__name__.strip("_"))
def test_a_bad_file_is_an_alert_that_names_it_and_nothing_is_left(
    bench: Bench, write: Callable[[Path], None]
) -> None:
    for slug, key, n in INPUTS:
        given = _given(bench, slug, key, n)
        for k in range(n):
            (bench.folder / f"bad{k}.fits").unlink(missing_ok=True)
            write(bench.folder / f"bad{k}.fits")
        before = [name for name in bench.files() if not name.startswith("store/")]
        with pytest.raises(Alert, match=r"bad0\.fits") as caught:
            bench.compute(slug, **given)
        assert caught.value.remedy, (slug, str(caught.value))
        assert str(bench.root) not in str(caught.value), (slug, str(caught.value))
        after = bench.files()
        assert [name for name in after if not name.startswith("store/")] == before
        assert not [name for name in after if name.endswith("entry.json")]
    made = bench.run("normalization", input_files=["night/good0.fits"])  # the cache is unharmed
    np.testing.assert_array_equal(made[0].data, GOOD / np.median(GOOD))


@pytest.mark.parametrize(
    "basename",
    [
        "../store/secret.fits",
        "..",
        "/etc/passwd",
        "a/../../b.fits",
        "M\u20295\u202e1.fits",
        "gal\u00e1xia.fits",
        "a\0b.fits",
        "$(touch x).fits",
        "x" * 3000,
        "",
        "-rf",
    ],
)
def test_a_basename_never_becomes_a_path_outside(bench: Bench, basename: str) -> None:
    before = bench.files()
    for slug in ("median", "normalization"):
        with pytest.raises(Alert) as caught:
            bench.compute(slug, input_files=[{"source": "night", "basename": basename}] * 2)
        assert caught.value.remedy
        assert len(str(caught.value)) < 1000
    assert bench.files() == before


@pytest.mark.parametrize("n", [1000, 10_000])
def test_too_many_references_are_refused_before_any_is_looked_for(bench: Bench, n: int) -> None:
    with pytest.raises(Alert, match=f"{n:,} files; it takes at most 999"):
        bench.compute("Median", input_files=[f"night/{k}.fits" for k in range(n)])
    assert bench.files() == []


@pytest.mark.parametrize("name", ["Median", "Stacking", "Mean Stack"])
def test_one_image_makes_no_stack(bench: Bench, name: str) -> None:
    with pytest.raises(Alert, match="needs at least 2"):
        bench.compute(name, input_files=[bench.put("a.fits", GOOD)])


def test_flats_of_a_camera_without_filters_make_a_master(bench: Bench) -> None:
    references = [bench.put(f"{name}.fits", np.abs(GOOD) + 1000) for name in "ab"]
    assert np.median(bench.run_one("Master Flat", input_files=references).data) == pytest.approx(1, abs=0.05)


def test_a_flat_without_a_filter_among_others_is_an_alert_that_says_how_to_name_it(bench: Bench) -> None:
    references = [bench.put("a.fits", GOOD), bench.put("b.fits", GOOD, {"FILTER": "rp"})]
    with pytest.raises(Alert, match=r"a\.fits has no filter.*filter"):
        bench.compute("Master Flat", input_files=references)


def test_different_shapes_are_cropped_where_that_is_the_rule(bench: Bench) -> None:
    references = [bench.put("a.fits", GOOD), bench.put("b.fits", GOOD[:30, :20])]
    for name in ("Median", "Stacking", "Mean Stack"):
        assert bench.run_one(name, input_files=references).data.shape == (30, 20)


@pytest.mark.parametrize("value", [-1, 2**31, 2**20 + 3])
def test_a_mask_of_strange_bits_marks_its_pixel_bad(bench: Bench, value: int) -> None:
    mask = np.zeros(SHAPE, "i8")
    mask[3, 4] = value
    reference = bench.put("a.fits", GOOD, {"EXPTIME": 1.0, "FILTER": "rp"}, mask=mask)
    for slug in ("increase_brightness", "mean_stack", "calibration", "cosmic_ray_rejection", "source_catalog"):
        given: dict[str, Any] = {"brightness": 1.0} if slug == "increase_brightness" else {}
        n = 2 if slug == "mean_stack" else 1
        made = bench.run(slug, input_files=[reference] * n, **given)[0]
        assert np.argwhere(made.planes["BPM"]).tolist() == [[3, 4]]
