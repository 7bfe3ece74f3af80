from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from night_kit import NIGHT, Observatory, judge_night, open_observatory

from runstart.nights.record import Product, Record, load_record
from runstart.nights.steps import STEPS, code_version, expected_made_of
from runstart.simulators.night import NightTruth

ASSETS = [step.asset for step in STEPS]


class Night:
    """A simulated night that was reduced, with its truth; tests only look at it."""

    def __init__(self, folder: Path) -> None:
        self.observatory = open_observatory(folder)
        self.truth: NightTruth = self.observatory.simulate()
        self.work = self.observatory.work()
        self.records = self.observatory.make()

    def products(self, asset: str) -> tuple[Product, ...]:
        return self.records[asset].products

    def image(self, product: Product) -> Any:
        return self.observatory.open(product.basename)


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Night]:
    return Night(tmp_path_factory.mktemp("night"))


@pytest.fixture
def copy(night: Night, tmp_path: Path) -> Observatory:
    """The reduced night in folders of its own, which a test may change."""
    observatory = open_observatory(tmp_path)
    for name in ("exposures", "store"):
        shutil.copytree(night.observatory.exposures.parent / name, tmp_path / name, dirs_exist_ok=True)
    return observatory


def names(record: Record) -> list[str]:
    return [product.name for product in record.products]


def test_a_night_has_all_its_products_and_they_are_told(night: Night) -> None:
    (field,) = night.truth.objects
    assert names(night.records["master_bias"]) == ["bias"]
    assert names(night.records["master_dark"]) == ["dark"]
    assert names(night.records["master_flat"]) == ["flat gp", "flat rp"]
    assert len(night.products("calibrated")) == 6
    assert names(night.records["stacks"]) == [f"{field.name} gp", f"{field.name} rp"]
    assert names(night.records["color_images"]) == [field.name]
    assert names(night.records["source_catalog"]) == [f"{field.name} gp", f"{field.name} rp"]
    for asset in ASSETS:
        record = night.records[asset]
        assert record == load_record(night.observatory.workplace.store, night.observatory.site, NIGHT, asset)
        assert record.code_version == code_version(asset)
        assert not record.remarks
        for product in record.products:
            assert not product.trouble
            assert product.night == NIGHT
            assert product.thumbnail.startswith("![")


def test_a_good_night_passes_every_check(night: Night) -> None:
    verdicts = judge_night(night.observatory.site, night.records)
    assert {name: verdict.text for name, verdict in verdicts.items() if not verdict.passed} == {}


def test_what_a_record_is_made_of_is_known_without_making_it(night: Night) -> None:
    work = night.observatory.work()
    for asset in ASSETS:
        assert expected_made_of(work, asset) == night.records[asset].made_of
    assert work.computed == work.found == 0


@dataclass(frozen=True)
class Residual:
    """What is left of a stack when sky and stars, as they truly are, are taken off."""

    image: Any
    stars: Any
    """float64[rows, cols]: the light of all stars."""
    left: Any
    good: Any
    x: Any
    y: Any
    electrons: Any

    @property
    def quiet(self) -> Any:
        """bool[rows, cols]: good pixels away from stars."""
        return self.good & (self.stars < 20)


def residual_of(night: Night, product: Product) -> Residual:
    from astropy.wcs import WCS

    from runstart.simulators._sky import add_stars

    (field,) = night.truth.objects
    exposures = [e for e in night.truth.exposures if e.sky is not None and e.filter == product.filter]
    (flat,) = (flat for flat in night.products("master_flat") if flat.filter == product.filter)
    # True fluxes are for a flat field whose median is 1; the master's is 1 in its middle.
    scale = exposures[0].exposure_time_s / np.nanmedian(night.image(flat).data)
    electrons = np.array(field.stars.electrons_per_s[product.filter]) * scale
    image = night.image(product)
    x, y = WCS(image.header).wcs_world2pix(field.stars.ra, field.stars.dec, 0)
    stars = np.zeros(image.data.shape)
    seeing = np.mean([e.sky.seeing_arcsec for e in exposures])
    add_stars(stars, x, y, electrons, seeing / night.truth.pixel_scale_arcsec)
    good = (image.mask == 0) & np.isfinite(image.data)
    left = np.where(good, image.data - stars, 0.0)
    rows, cols = np.nonzero(good & (stars < 20))
    plane = np.linalg.lstsq(np.stack([np.ones(rows.size), rows, cols], axis=1), left[rows, cols], rcond=None)[0]
    grid = np.indices(left.shape)
    left -= plane[0] + plane[1] * grid[0] + plane[2] * grid[1]
    return Residual(image, stars, left, good, x, y, electrons)


def pulls_of(residual: Residual) -> Iterator[float]:
    """Yield (measured - true) / error of the stars whose apertures are good and nearly their own."""
    rows, cols = residual.left.shape
    grid_y, grid_x = np.indices((rows, cols))
    for x, y, electrons in zip(residual.x, residual.y, residual.electrons, strict=True):
        aperture = np.hypot(grid_x - x, grid_y - y) < 6
        if not (12 < x < cols - 12 and 12 < y < rows - 12) or not residual.good[aperture].all():
            continue
        error = np.sqrt((residual.image.uncertainty[aperture].astype(float) ** 2).sum())
        neighbours = residual.stars[aperture].sum() - 0.96 * electrons
        if electrons > 10 * error and neighbours < 0.3 * electrons:
            # Half a per cent: of the flat field, and of stars that interpolation has made wider than the aperture.
            yield float(residual.left[aperture].sum() / np.hypot(error, 0.005 * electrons))


def test_the_fluxes_of_the_stars_of_a_stack_are_the_true_ones_within_their_errors(night: Night) -> None:
    pulls = [pull for product in night.products("stacks") for pull in pulls_of(residual_of(night, product))]
    assert len(pulls) >= 15
    assert np.abs(pulls).max() < 4
    assert 0.3 < np.std(pulls) < 1.5
    assert abs(np.mean(pulls)) < 3 / np.sqrt(len(pulls))


def test_bad_columns_are_flagged_in_every_calibrated_exposure_and_little_else(night: Night) -> None:
    bad = {column.column for column in night.truth.bad_columns}
    good = sorted(set(range(night.truth.shape[1])) - bad)
    for product in night.products("calibrated"):
        mask = night.image(product).mask
        assert mask.shape == night.truth.shape
        assert (mask[:, sorted(bad)] != 0).mean() > 0.95
        assert (mask[:, good] != 0).mean() < 0.03


def test_cosmic_rays_and_bad_pixels_are_kept_out_of_the_stacks(night: Night) -> None:
    hit = sum(product.figures["cosmic_ray_pixels"] for product in night.products("calibrated"))
    assert hit > 20
    for product in night.products("stacks"):
        residual = residual_of(night, product)
        assert residual.good.mean() > 0.98
        assert residual.quiet.mean() > 0.5
        outliers = np.abs(residual.left[residual.quiet]) / residual.image.uncertainty[residual.quiet]
        assert np.count_nonzero(outliers > 5.5) == 0


def test_an_unchanged_night_computes_nothing(night: Night) -> None:
    from runstart.nights.steps import make_night

    work = night.observatory.work()
    again = make_night(work)
    assert work.computed == 0
    assert work.found > 15
    assert again == night.records


def test_a_new_exposure_costs_only_itself_and_what_it_is_part_of(tmp_path: Path) -> None:
    from runstart.nights.steps import make_night

    observatory = open_observatory(tmp_path)
    truth = observatory.simulate(shape=(64, 96), exposures=2)
    late = next(e.name for e in reversed(truth.exposures) if e.filter == "gp")
    (observatory.exposures / late).rename(tmp_path / late)
    before = observatory.make()
    (tmp_path / late).rename(observatory.exposures / late)
    work = observatory.work()
    after = make_night(work)
    assert work.computed == 4  # the exposure, its stack, its catalogue, the colour image
    assert before["master_flat"].made_of != after["master_flat"].made_of  # it has looked at the index
    assert before["master_flat"].products == after["master_flat"].products
    assert set(names(after["calibrated"])) - set(names(before["calibrated"])) == {late}


def test_a_night_without_masters_takes_those_of_the_newest_earlier_night(copy: Observatory) -> None:
    later = "2026-04-02"
    copy.simulate(later, biases=0, darks=0, flats=2, exposures=1, filters=("rp",))
    records = copy.make(later)
    earlier = {asset: load_record(copy.workplace.store, copy.site, NIGHT, asset) for asset in ASSETS}
    for asset in ("master_bias", "master_dark", "master_flat"):
        fitting = tuple(product for product in earlier[asset].products if product.filter in ("", "rp"))
        assert records[asset].products == fitting
        assert all(f"of {NIGHT} stands in" in remark for remark in records[asset].remarks)
        assert records[asset].remarks
    assert all(product.key for product in records["calibrated"].products)
    failed = {name: v.severity for name, v in judge_night(copy.site, records).items() if not v.passed}
    assert failed == {
        "master_bias.enough_biases": "warn",
        "master_dark.enough_darks": "warn",
        "master_flat.enough_flats": "warn",
    }


def test_masters_that_are_too_old_do_not_stand_in(copy: Observatory) -> None:
    later = "2026-04-02"
    copy.site = copy.site.model_copy(update={"limits": copy.site.limits.model_copy(update={"master_days": 4})})
    copy.simulate(later, biases=0, darks=0, flats=0, exposures=1, filters=("rp",))
    records = copy.make(later)
    assert not records["master_bias"].products
    assert "no recent master" in records["master_bias"].remarks[0]
    assert all(product.key for product in records["calibrated"].products)
    assert len(records["calibrated"].remarks) == 3
    failed = {name for name, v in judge_night(copy.site, records).items() if not v.passed}
    assert "calibrated.all_steps" in failed


def test_a_stand_in_that_is_no_longer_there_is_not_used(copy: Observatory) -> None:
    from runstart.nights.masters import stand_ins

    work = copy.work("2026-03-30")
    copy.simulate("2026-03-30", biases=0, darks=0, flats=0, exposures=1)
    from runstart.nights.steps import make_step

    make_step(work, "exposures")
    ((name, key),) = stand_ins(work, "master_bias")
    assert name == "bias"
    copy.workplace.store.delete(f"operations/{key}/entry.json")
    assert stand_ins(work, "master_bias") == []


def test_a_damaged_exposure_is_left_out_and_told(copy: Observatory) -> None:
    science = sorted(path for path in copy.exposures.iterdir() if path.name.endswith("e00.fits"))
    data = science[0].read_bytes()
    science[0].write_bytes(data[: len(data) // 2])
    import os

    os.utime(science[0], (1, 1))  # it has been so for long
    records = copy.make()
    verdicts = judge_night(copy.site, records)
    assert {name for name, verdict in verdicts.items() if not verdict.passed} == {"exposures.readable"}
    assert science[0].name in verdicts["exposures.readable"].text
    assert len(records["calibrated"].products) == 5


def test_exposure_times_that_differ_by_the_shutter_alone_are_one_stack(copy: Observatory) -> None:
    from runstart.nights.record import save_record
    from runstart.nights.steps import make_step

    work = copy.work()
    record = work.record("calibrated")
    times = {"gp": (60.012, 60.018, 60.015), "rp": (60.012, 30.0, 60.7)}
    products = []
    for product in record.products:
        done = sum(p.filter == product.filter for p in products)
        seconds = times[product.filter][done]
        products.append(replace(product, figures={**product.figures, "exposure_s": seconds}))
    save_record(copy.workplace.store, copy.site, replace(record, products=tuple(products)))
    stacks = make_step(work, "stacks").products
    of = record.products[0].object
    assert {stack.name: (stack.figures["frames"], stack.figures["exposure_s"]) for stack in stacks} == {
        f"{of} gp": (3, 60.015),
        f"{of} rp 30s": (1, 30.0),
        f"{of} rp 60s": (1, 60.012),
        f"{of} rp 60.7s": (1, 60.7),
    }


@given(st.lists(st.floats(0, 4000), max_size=12))
def test_stacks_of_different_times_have_different_names(times: list[float]) -> None:
    from runstart.nights.products import _by_time, _time_name

    groups = _by_time([Product(str(n), figures={"exposure_s": time}) for n, time in enumerate(times)])
    assert sorted(int(p.name) for group in groups for p in group) == list(range(len(times)))
    firsts = [group[0].figures["exposure_s"] for group in groups]
    for first, group in zip(firsts, groups, strict=True):
        assert all(first <= p.figures["exposure_s"] <= 1.01 * first for p in group)
    assert len({_time_name(first) for first in firsts}) == len(groups)


def test_files_that_cannot_be_exposures_are_told_by_the_check_of_each_night(copy: Observatory) -> None:
    from runstart.nights.steps import make_step

    (copy.exposures / "M 51 n.fits").touch()
    (copy.exposures / "away.fits").symlink_to("/dev/null")
    for _ in range(2):
        record = make_step(copy.work(), "exposures")
        (remark,) = record.remarks
        assert "2 files in file:" in remark
        assert "'M 51 n.fits' (its name cannot be used" in remark
        verdict = judge_night(copy.site, {asset: copy.work().record(asset) for asset in ASSETS})[
            "exposures.readable"
        ]
        assert verdict.passed
        assert remark in verdict.text


def test_one_product_that_fails_does_not_stop_the_others(copy: Observatory) -> None:
    from runstart.fits import FolderSource
    from runstart.nights.steps import make_step

    work = copy.work()
    for asset in ASSETS[:4]:
        make_step(work, asset)
    lost = next(e for e in work.usable("science"))
    (copy.exposures / lost.name).unlink()
    assert isinstance(copy.workplace.inputs.sources[copy.site.name], FolderSource)
    record = make_step(work, "calibrated")
    assert [bool(product.trouble) for product in record.products].count(True) == 1
    failed = next(product for product in record.products if product.trouble)
    assert failed.name == lost.name
    assert lost.name in failed.trouble
    assert failed.key == ""
