"""Nights that are made by one Dagster step: each for itself, told as it is made, and for nothing when nothing changed."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from night_facility import (
    ASSETS,
    BIASES_ONLY,
    NOBODY_THERE,
    SITE,
    NightHouse,
    failure_of,
    made_by_night,
    night,
    open_house,
    remove,
)

import ops.errors
import runstart.nights
from runstart.errors import Transient
from runstart.nights import CHECKS, NightWork, Record
from runstart.simulators.night import Scenario

GOOD, FEW, NOISY, EMPTY, LAST = (night(number) for number in range(5))


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NightHouse]:
    """Five nights: the second has too few flats, the third a noisy bias, the fourth no exposures."""
    with open_house(tmp_path_factory.mktemp("nights")) as house:
        house.place.take(GOOD, filters=("gp", "rp"))
        house.place.take(FEW, filters=("ip",), scenario=Scenario.FEW_FLATS)
        house.place.take(NOISY, scenario=Scenario.NOISY_BIAS)
        house.place.take(LAST)
        yield house


@pytest.fixture(scope="module")
def first(house: NightHouse) -> dg.ExecuteInProcessResult:
    """One run over all five nights."""
    return house.reduce(GOOD, LAST)


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[NightHouse]:
    with open_house(tmp_path / "house") as house:
        yield house


def checks_by_night(result: dg.ExecuteInProcessResult) -> dict[str, dict[str, dg.AssetCheckEvaluation]]:
    found: dict[str, dict[str, Any]] = defaultdict(dict)
    for evaluation in result.get_asset_check_evaluations():
        assert evaluation.partition is not None
        found[evaluation.partition][f"{evaluation.asset_key.path[-1]}.{evaluation.check_name}"] = evaluation
    return found


def metadata(result: dg.ExecuteInProcessResult, of: str, asset: str) -> dict[str, dg.MetadataValue[Any]]:
    (event,) = (
        event
        for event in result.get_asset_materialization_events()
        if event.partition == of and event.asset_key == dg.AssetKey([SITE, asset])
    )
    return dict(event.step_materialization_data.materialization.metadata)


def told(result: dg.ExecuteInProcessResult, house: NightHouse) -> str:
    return "\n".join(entry.user_message for entry in house.instance.all_logs(result.run_id))


def test_a_night_that_falls_short_loses_only_what_needs_its_failed_asset(first: dg.ExecuteInProcessResult) -> None:
    assert not first.success
    assert made_by_night(first) == {
        GOOD: list(ASSETS),
        FEW: ["exposures", "master_bias", "master_dark", "master_flat"],
        NOISY: ["exposures", "master_bias"],
        EMPTY: list(ASSETS),
        LAST: list(ASSETS),
    }


def test_the_failure_names_the_nights_and_their_checks_and_no_other(first: dg.ExecuteInProcessResult) -> None:
    text = failure_of(first)
    assert text.startswith(f"2 of 5 nights of {SITE} fell short; the others are done.")
    assert f"{FEW}: master_flat: enough_flats: 1 of 1 filters have fewer than 2 good flats (ip: 1)." in text
    assert f"{NOISY}: master_bias: bias_noise: The median noise of a bias is" in text
    assert not any(of in text for of in (GOOD, EMPTY, LAST))


def test_what_was_left_out_is_told_with_its_reason(first: dg.ExecuteInProcessResult, house: NightHouse) -> None:
    text = told(first, house)
    assert f"Night {FEW}: no calibrated, because of master_flat." in text
    assert f"Night {FEW}: no source_catalog, because of stacks." in text
    assert f"Night {NOISY}: no master_dark, because of master_bias." in text
    assert f"Night {GOOD}: no" not in text


def test_each_check_is_told_for_its_own_night_and_materialization(
    first: dg.ExecuteInProcessResult, house: NightHouse
) -> None:
    checks = checks_by_night(first)
    every = {f"{check.asset}.{check.name}" for check in CHECKS}
    assert set(checks) == {GOOD, FEW, NOISY, EMPTY, LAST}
    assert {of for of in checks if set(checks[of]) == every} == {GOOD, EMPTY, LAST}
    assert {name.split(".")[0] for name in checks[NOISY]} == {"exposures", "master_bias"}
    for of, evaluations in checks.items():
        for evaluation in evaluations.values():
            target = evaluation.target_materialization_data
            assert target is not None
            wanted = dg.AssetRecordsFilter(asset_key=evaluation.asset_key, storage_ids=[target.storage_id])
            (record,) = house.instance.fetch_materializations(wanted, limit=1).records
            assert (record.partition_key, record.run_id) == (of, first.run_id)


def test_only_errors_make_a_night_fall_short(first: dg.ExecuteInProcessResult) -> None:
    failed = {
        of: {name: e.severity.name for name, e in evaluations.items() if not e.passed}
        for of, evaluations in checks_by_night(first).items()
    }
    assert failed[FEW] == {"master_flat.enough_flats": "ERROR"}
    assert failed[NOISY] == {"master_bias.bias_noise": "ERROR"}
    assert set(failed[EMPTY].values()) == {"WARN"}, "a night under clouds is nobody's fault"
    assert failed[GOOD] == failed[LAST] == {}


def test_dagster_knows_which_nights_are_done_and_which_have_failed(
    first: dg.ExecuteInProcessResult, house: NightHouse
) -> None:
    catalogs = dg.AssetKey([SITE, "source_catalog"])
    assert house.instance.get_materialized_partitions(catalogs) == {GOOD, EMPTY, LAST}
    partitions = house.definitions.resolve_assets_def(catalogs).partitions_def
    assert partitions is not None
    statuses = house.instance.get_status_by_partition(catalogs, [GOOD, FEW, NOISY, EMPTY, LAST], partitions)
    assert statuses is not None
    assert {of for of, status in statuses.items() if status is not None and status.name == "FAILED"} == {FEW, NOISY}


@pytest.mark.parametrize(
    ("asset", "rows"),
    [("exposures", 9), ("master_bias", 1), ("master_flat", 2), ("calibrated", 2), ("color_images", 1)],
)
def test_rows_are_counted(first: dg.ExecuteInProcessResult, asset: str, rows: int) -> None:
    assert metadata(first, GOOD, asset)["dagster/row_count"].value == rows


def test_rows_of_catalogues_are_sources(first: dg.ExecuteInProcessResult, house: NightHouse) -> None:
    record = house.place.record(GOOD, "source_catalog")
    assert record is not None
    sources = sum(product.figures["sources"] for product in record.products)
    assert metadata(first, GOOD, "source_catalog")["dagster/row_count"].value == sources > 5


def test_pictures_are_shown_in_place_and_are_short(first: dg.ExecuteInProcessResult) -> None:
    for asset in ASSETS[1:]:
        shown = {name: value.value for name, value in metadata(first, GOOD, asset).items()}
        in_place = {name: value for name, value in shown.items() if not name.endswith(", larger")}
        pictures = [value for value in in_place.values() if isinstance(value, str) and value.startswith("![")]
        assert pictures, asset
        larger = [value for name, value in shown.items() if name.endswith(", larger")]
        assert bool(larger) == (asset in ("stacks", "color_images"))
        assert all(value.startswith("![") and len(value) > 1000 for value in larger)
        # Dagster's pages show longer texts only after a click.
        assert all("data:image" in picture and len(picture) < 1000 for picture in pictures)


def test_exposures_are_a_table_that_says_what_its_columns_are(first: dg.ExecuteInProcessResult) -> None:
    table = metadata(first, GOOD, "exposures")["exposures"]
    assert isinstance(table, dg.TableMetadataValue)
    columns = [column.name for column in table.schema.columns]
    assert all(column.description for column in table.schema.columns)
    assert len(table.records) == 9
    assert all(list(record.data) == columns for record in table.records)
    assert [record.data["kind"] for record in table.records].count("bias") == 2


def test_a_materialization_has_the_versions_of_its_data_and_code(
    first: dg.ExecuteInProcessResult, house: NightHouse
) -> None:
    for event in first.get_asset_materialization_events():
        record = house.place.record(event.partition or "", event.asset_key.path[-1])  # type: ignore[union-attr]
        tags = event.step_materialization_data.materialization.tags
        assert record is not None
        assert tags["dagster/data_version"] == record.digest
        assert tags["dagster/code_version"] == record.code_version


def test_a_second_run_computes_nothing_and_tells_the_same(
    first: dg.ExecuteInProcessResult, house: NightHouse
) -> None:
    def entries() -> dict[str, str | None]:
        store = house.place.store
        return {key: store.head(key) for key in store.list("operations/")}

    before, digests = entries(), house.place.digests(GOOD)
    again = house.reduce(GOOD, LAST)
    assert made_by_night(again) == made_by_night(first)
    assert entries() == before
    assert house.place.digests(GOOD) == digests


def test_one_night_alone_succeeds(first: dg.ExecuteInProcessResult, house: NightHouse) -> None:
    again = house.reduce(LAST)
    assert again.success
    assert made_by_night(again) == {LAST: list(ASSETS)}


def test_a_subset_of_assets_is_made_and_judged_alone(first: dg.ExecuteInProcessResult, house: NightHouse) -> None:
    result = house.reduce(GOOD, GOOD, assets=["stacks", "source_catalog"])
    assert result.success
    assert made_by_night(result) == {GOOD: ["stacks", "source_catalog"]}
    (checks,) = checks_by_night(result).values()
    assert set(checks) == {"stacks.made", "stacks.seeing", "source_catalog.not_empty"}


def test_an_asset_without_what_it_needs_is_the_nights_failure(fresh: NightHouse) -> None:
    fresh.place.take(GOOD, **BIASES_ONLY)
    fresh.place.take(FEW, **BIASES_ONLY)
    assert fresh.reduce(FEW, assets=["exposures"]).success
    result = fresh.reduce(GOOD, FEW, assets=["master_bias"])
    assert made_by_night(result) == {FEW: ["master_bias"]}
    text = failure_of(result)
    assert text.startswith(f"1 of 2 nights of {SITE} fell short")
    assert f"{SITE} {GOOD} has no exposures. Materialize exposures of this night first." in text


def test_exposures_whose_place_is_gone_fail_each_night_with_the_remedy(fresh: NightHouse) -> None:
    remove(fresh.place.exposures)
    result = fresh.reduce(GOOD, FEW)
    assert made_by_night(result) == {}
    text = failure_of(result)
    assert text.startswith(f"2 of 2 nights of {SITE} fell short")
    assert str(fresh.place.exposures) in text
    assert "Mount or make it" in text


def test_an_exposure_that_cannot_be_read_is_told_and_stops_nothing(fresh: NightHouse) -> None:
    names = fresh.place.take(GOOD, **{**BIASES_ONLY, "biases": 3})
    path = fresh.place.exposures / names[0]
    os.truncate(path, path.stat().st_size - 5_000)
    os.utime(path, (1e9, 1e9))  # nobody writes it any more
    result = fresh.reduce(GOOD)
    assert result.success, failure_of(result)
    checks = checks_by_night(result)[GOOD]
    assert not checks["exposures.readable"].passed
    assert names[0] in (checks["exposures.readable"].description or "")


def test_a_bucket_that_stays_away_is_tried_again_and_then_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ops.errors, "FIRST_RETRY_SECONDS", 0.001)
    with open_house(tmp_path / "house") as house:
        house.place.move_to("s3://nights/hill")
        for variable, value in NOBODY_THERE.items():
            monkeypatch.setenv(variable, value)
        result = house.reduce(GOOD, FEW)
    assert len(result.filter_events(lambda event: event.is_step_up_for_retry)) == ops.errors.MOST_RETRIES
    text = failure_of(result)
    assert text.startswith(f"2 of 2 nights of {SITE} fell short")
    assert f"{GOOD}: not all is done: " in text


def test_a_night_that_falls_short_keeps_no_other_from_its_second_attempt(
    fresh: NightHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ops.errors, "FIRST_RETRY_SECONDS", 0.001)
    fresh.place.take(GOOD, scenario=Scenario.NOISY_BIAS)
    fresh.place.take(FEW, **BIASES_ONLY)
    away = [True]
    make_step = runstart.nights.make_step

    def fail_once(work: NightWork, asset: str) -> Record:
        if (work.night, asset) == (FEW, "master_bias") and away:
            away.clear()
            raise Transient("The disk is busy.")
        return make_step(work, asset)

    monkeypatch.setattr(runstart.nights, "make_step", fail_once)
    result = fresh.reduce(GOOD, FEW)
    assert len(result.filter_events(lambda event: event.is_step_up_for_retry)) == 1
    text = failure_of(result)
    assert text.startswith(f"1 of 2 nights of {SITE} fell short; the others are done.")
    assert "master_bias: bias_noise" in text
    assert set(fresh.place.digests(FEW)) == set(ASSETS)
