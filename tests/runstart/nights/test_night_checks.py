from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runstart.nights.checks import CHECKS, Check, Verdict
from runstart.nights.record import Exposure, Product, Record
from runstart.nights.site import Limits, Site
from runstart.nights.steps import STEPS

NIGHT = "2026-03-28"
SITE = Site(
    name="hill",
    first_night=date(2026, 1, 1),
    exposures="file:/nights",
    limits=Limits(biases=3, darks=2, flats=2, sources=4),
    colors={"rp": (255, 0, 0), "gp": (0, 255, 0)},
)
BIAS = Exposure("b", "1", kind="bias", median=1_000.0, noise=5.0)
DARK = replace(BIAS, name="d", kind="dark")
FLAT = Exposure("f", "1", kind="flat", filter="rp", median=30_000.0)
SCIENCE = Exposure("s", "1", kind="science", object="M51", filter="rp", has_wcs=True)
MASTER = Product("bias", key="k", basename="k", night=NIGHT, figures={"frames": 3})
STACK = Product("M51 rp", key="k", basename="k", object="M51", filter="rp", figures={"seeing_arcsec": 1.5})
CATALOG = Product("M51 rp", key="k", basename="k", object="M51", filter="rp", figures={"sources": 30})


def find(asset: str, name: str) -> Check:
    return next(check for check in CHECKS if (check.asset, check.name) == (asset, name))


def judge(
    asset: str,
    name: str,
    *exposures: Exposure,
    remarks: tuple[str, ...] = (),
    **products: Sequence[Product],
) -> Verdict:
    check = find(asset, name)
    records = {
        needed: Record(
            "hill",
            NIGHT,
            needed,
            "1",
            "",
            exposures=exposures if needed == "exposures" else (),
            products=tuple(products.get(needed, ())),
            remarks=remarks if needed == asset else (),
        )
        for needed in {asset, *check.needs}
    }
    verdict = check.judge(SITE, records)
    assert verdict.text.endswith(".")
    return verdict


def test_checks_have_names_of_their_own_and_look_at_what_is_made_before() -> None:
    assert len({(check.asset, check.name) for check in CHECKS}) == len(CHECKS)
    order = [step.asset for step in STEPS]
    for check in CHECKS:
        assert all(order.index(needed) <= order.index(check.asset) for needed in check.needs)
        assert check.description.endswith(".")
    assert {check.asset for check in CHECKS} == set(order)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: f"{check.asset}-{check.name}")
def test_an_empty_night_fails_no_check_with_an_error(check: Check) -> None:
    verdict = judge(check.asset, check.name)
    assert verdict.passed or verdict.severity == "warn"


def test_damaged_files_are_named_with_their_trouble() -> None:
    assert judge("exposures", "readable", BIAS, SCIENCE).passed
    verdict = judge("exposures", "readable", BIAS, replace(SCIENCE, trouble="it is truncated"))
    assert not verdict.passed
    assert verdict.severity == "warn"
    assert "1 of 2" in verdict.text
    assert "s (it is truncated)" in verdict.text


def test_science_exposures_without_wcs_are_an_error() -> None:
    assert judge("exposures", "wcs_present", BIAS, SCIENCE).passed
    verdict = judge("exposures", "wcs_present", SCIENCE, replace(SCIENCE, name="t", has_wcs=False))
    assert not verdict.passed
    assert verdict.severity == "error"
    assert "1 of 2" in verdict.text
    assert verdict.figures["without_wcs"] == 1


def test_saturation_warns_above_the_limit_only() -> None:
    assert judge("exposures", "saturation", replace(SCIENCE, saturated_fraction=0.01)).passed
    verdict = judge("exposures", "saturation", replace(SCIENCE, saturated_fraction=0.02))
    assert not verdict.passed
    assert verdict.severity == "warn"
    assert "s (2.00%)" in verdict.text


@pytest.mark.parametrize(
    ("asset", "name", "exposure", "limit"),
    [("master_bias", "enough_biases", BIAS, 3), ("master_dark", "enough_darks", DARK, 2)],
)
def test_too_few_calibration_exposures_warn(asset: str, name: str, exposure: Exposure, limit: int) -> None:
    enough = [exposure] * limit
    assert judge(asset, name, *enough).passed
    verdict = judge(asset, name, *enough[1:], replace(exposure, trouble="damaged"))
    assert (verdict.passed, verdict.severity) == (False, "warn")
    assert f"{limit - 1} good" in verdict.text
    failed = judge(asset, name, *enough, **{asset: [replace(MASTER, key="", trouble="Why not.")]})
    assert not failed.passed
    assert "Why not." in failed.text


def test_a_master_that_stands_in_is_told() -> None:
    earlier = replace(MASTER, night="2026-03-20")
    verdict = judge("master_bias", "enough_biases", master_bias=[earlier])
    assert not verdict.passed
    assert "2026-03-20 stands in" in verdict.text


@given(st.lists(st.floats(0, 10_000), min_size=1, max_size=9))
def test_the_median_bias_decides(levels: list[float]) -> None:
    biases = [replace(BIAS, name=f"b{n}", median=level, noise=level) for n, level in enumerate(levels)]
    middle = sorted(levels)
    inside = [100 <= level <= 5_000 for level in middle]
    verdict = judge("master_bias", "bias_level", *biases)
    if len(levels) % 2:
        assert verdict.passed == inside[len(levels) // 2]
    assert verdict.figures["outside"] == inside.count(False)
    noise = judge("master_bias", "bias_noise", *biases)
    assert noise.figures["above"] == sum(level > 30 for level in levels)


def test_level_and_noise_of_the_bias_are_errors_that_block() -> None:
    for name, change in (("bias_level", {"median": 50.0}), ("bias_noise", {"noise": 31.0})):
        assert find("master_bias", name).blocking
        assert judge("master_bias", name, BIAS).passed
        verdict = judge("master_bias", name, replace(BIAS, **change))
        assert (verdict.passed, verdict.severity) == (False, "error")
        assert "b (" in verdict.text


def test_few_flats_are_an_error_unless_a_recent_master_stands_in() -> None:
    dark = replace(FLAT, name="g", median=900.0)
    assert judge("master_flat", "enough_flats", SCIENCE, FLAT, FLAT).passed
    own = Product("flat rp", key="k", filter="rp", night=NIGHT)
    verdict = judge("master_flat", "enough_flats", SCIENCE, FLAT, dark, master_flat=[own])
    assert (verdict.passed, verdict.severity) == (False, "error")
    assert "rp: 1" in verdict.text
    stands_in = replace(own, night="2026-03-20")
    verdict = judge("master_flat", "enough_flats", SCIENCE, FLAT, dark, master_flat=[stands_in])
    assert (verdict.passed, verdict.severity) == (False, "warn")
    assert "2026-03-20" in verdict.text


def test_a_flat_master_that_could_not_be_made_is_an_error_unless_another_one_stands_in() -> None:
    failed = Product("flat rp", filter="rp", night=NIGHT, trouble="No FILTER.", figures={"rows": 4, "cols": 5})
    verdict = judge("master_flat", "enough_flats", SCIENCE, FLAT, FLAT, master_flat=[failed])
    assert (verdict.passed, verdict.severity) == (False, "error")
    assert "flat rp (No FILTER.)" in verdict.text
    stands_in = replace(failed, key="k", night="2026-03-20", trouble="")
    verdict = judge("master_flat", "enough_flats", SCIENCE, FLAT, FLAT, master_flat=[failed, stands_in])
    assert (verdict.passed, verdict.severity) == (False, "warn")
    other_shape = replace(stands_in, figures={"rows": 8, "cols": 5})
    verdict = judge("master_flat", "enough_flats", SCIENCE, FLAT, FLAT, master_flat=[failed, other_shape])
    assert (verdict.passed, verdict.severity) == (False, "error")
    unused = replace(failed, filter="zs")
    verdict = judge("master_flat", "enough_flats", SCIENCE, FLAT, FLAT, master_flat=[unused, stands_in])
    assert (verdict.passed, verdict.severity) == (False, "warn")
    verdict = judge("master_flat", "enough_flats", FLAT, FLAT, master_flat=[failed])
    assert (verdict.passed, verdict.severity) == (False, "warn")


def test_files_that_cannot_be_exposures_are_told_by_every_night() -> None:
    verdict = judge("exposures", "readable", BIAS, remarks=("Left out of all nights: 1 files.", "b: other."))
    assert verdict.passed
    assert verdict.text == "All 1 files can be read. Left out of all nights: 1 files."


def test_a_filter_that_no_science_exposure_used_needs_no_flats() -> None:
    assert judge("master_flat", "enough_flats", SCIENCE, FLAT, FLAT, replace(FLAT, filter="zs")).passed
    assert judge("master_flat", "enough_flats", replace(FLAT, filter="zs")).passed


def test_what_was_not_calibrated_or_stacked_is_an_error_with_its_trouble() -> None:
    failed = Product("s", object="M51", filter="rp", trouble="It is of another shape.")
    good = Product("t", key="k", object="M51", filter="rp")
    verdict = judge("calibrated", "all_calibrated", SCIENCE, replace(SCIENCE, name="t"), calibrated=[failed, good])
    assert (verdict.passed, verdict.severity) == (False, "error")
    assert "1 of 2" in verdict.text
    assert "It is of another shape." in verdict.text
    assert judge("calibrated", "all_calibrated", SCIENCE, calibrated=[good]).passed
    assert judge("stacks", "made", calibrated=[good, failed], stacks=[STACK]).passed
    verdict = judge("stacks", "made", calibrated=[good], stacks=[replace(STACK, key="", trouble="No WCS.")])
    assert (verdict.passed, verdict.severity) == (False, "error")


def test_steps_that_were_left_out_warn() -> None:
    assert judge("calibrated", "all_steps").passed
    verdict = judge("calibrated", "all_steps", remarks=("Calibrated without master_dark: s.",))
    assert (verdict.passed, verdict.severity) == (False, "warn")
    assert "master_dark" in verdict.text


def test_bad_seeing_warns() -> None:
    assert judge("stacks", "seeing", stacks=[STACK]).passed
    assert judge("stacks", "seeing", stacks=[replace(STACK, figures={})]).passed
    verdict = judge("stacks", "seeing", stacks=[STACK, replace(STACK, name="x", figures={"seeing_arcsec": 5.5})])
    assert (verdict.passed, verdict.severity) == (False, "warn")
    assert 'x (5.5")' in verdict.text


def test_an_object_without_its_picture_warns() -> None:
    two = [STACK, replace(STACK, filter="gp")]
    assert judge("color_images", "made", stacks=[STACK, replace(STACK, filter="w")]).passed
    assert not judge("color_images", "made", stacks=two).passed
    assert judge("color_images", "made", stacks=two, color_images=[Product("M51", key="k")]).passed


def test_a_catalogue_with_few_sources_is_an_error() -> None:
    assert judge("source_catalog", "not_empty", source_catalog=[CATALOG]).passed
    few = replace(CATALOG, name="x", figures={"sources": 3})
    verdict = judge("source_catalog", "not_empty", source_catalog=[CATALOG, few])
    assert (verdict.passed, verdict.severity) == (False, "error")
    assert "x (3)" in verdict.text
    failed = judge("source_catalog", "not_empty", source_catalog=[Product("x", trouble="No sky.")])
    assert not failed.passed
    assert "No sky." in failed.text
