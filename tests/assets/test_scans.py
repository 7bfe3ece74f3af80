"""The assets of scans, executed in process on scans of thirty frames in four batches."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import dagster as dg
import numpy as np
import pytest
from scan_house import NAME, ScanHouse, data_version_of, metadata_of, steps_of, true_events, true_maps
from scan_work_kit import FRAMES, PLAIN, draw_frames

MAPS = {"counted_scan", "center_of_mass", "virtual_images", "phase", "diffraction_pattern"}
PICTURED = sorted(MAPS - {"counted_scan"})
MISSING = [4, 17]
KEPT = np.delete(
    np.arange(FRAMES), MISSING
)  # slots of the scan in which two frames are missing, and two came twice


class Done(NamedTuple):
    key: str
    result: dg.ExecuteInProcessResult


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScanHouse]:
    with dg.instance_for_test() as instance:
        yield ScanHouse(tmp_path_factory.mktemp("house"), instance)


@pytest.fixture(scope="module")
def done(house: ScanHouse) -> Done:
    key = house.put(draw_frames(), name="whole.frames")
    return Done(key, house.process(key))


@pytest.fixture(scope="module")
def flawed(house: ScanHouse) -> Done:
    stored = np.concatenate([draw_frames()[KEPT], draw_frames(7, 2)])
    key = house.put(stored, np.append(KEPT, [9, 0]), name="flawed.frames")
    return Done(key, house.process(key))


def checks_of(result: dg.ExecuteInProcessResult) -> dict[str, bool]:
    return {e.check_name: e.passed for e in result.get_asset_check_evaluations()}


def made_by(result: dg.ExecuteInProcessResult) -> set[str]:
    return {e.asset_key.path[-1] for e in result.get_asset_materialization_events() if e.asset_key is not None}


def test_a_scan_is_planned_processed_in_batches_merged_and_checked(done: Done) -> None:
    assert done.result.success
    assert steps_of(done.result) == [
        f"{NAME}__raw_scan",
        "plan_batches",
        *(f"process_batch[{number:05d}]" for number in range(4)),
        "merge_scan",
        f"{NAME}__center_of_mass_counts_agree",
    ]
    assert checks_of(done.result) == {"frames_add_up": True, "complete": True, "counts_agree": True}
    assert made_by(done.result) == {"raw_scan", *MAPS}


def test_maps_of_a_scan_with_missing_and_duplicate_frames_are_those_of_plain_numpy(
    house: ScanHouse, flawed: Done
) -> None:
    product = house.product(flawed.key)
    truth = true_maps(draw_frames()[KEPT], KEPT.tolist(), product.center)
    assert np.array_equal(product.pattern, truth["pattern"])
    for name in ("bright_field", "dark_field"):
        assert np.array_equal(product.virtual_images[name], truth[name], equal_nan=True)
    np.testing.assert_allclose(product.center_of_mass, [truth["column"], truth["row"]], rtol=1e-6)


def test_a_position_without_a_frame_is_nan(house: ScanHouse, flawed: Done) -> None:
    missing = np.isnan(house.product(flawed.key).virtual_images["bright_field"])
    assert np.flatnonzero(missing).tolist() == MISSING


def test_the_account_is_metadata_of_raw_scan_and_maps(flawed: Done) -> None:
    raw = metadata_of(flawed.result, "raw_scan")
    account = {"expected": FRAMES, "stored": FRAMES, "seen": FRAMES - 2, "missing": 2, "duplicate": 2}
    assert {name: raw[name] for name in account} == account
    assert metadata_of(flawed.result, "phase")["missing"] == 2


def test_missing_frames_warn_and_stop_nothing(flawed: Done) -> None:
    assert flawed.result.success
    assert checks_of(flawed.result)["complete"] is False


@pytest.mark.parametrize("asset", PICTURED)
def test_maps_show_a_small_picture_in_place_and_a_larger_one(done: Done, asset: str) -> None:
    told = metadata_of(done.result, asset)
    assert "](data:image/" in told["thumbnail"]
    assert len(told["thumbnail"]) < 5000 < len(told["picture"])
    assert "](data:image/png;base64," in told["picture"]


def test_electrons_are_figures(done: Done) -> None:
    electrons = sum(map(len, true_events(draw_frames())))
    assert metadata_of(done.result, "counted_scan")["electrons"] == electrons
    assert metadata_of(done.result, "diffraction_pattern")["total"] == electrons


def test_made_again_without_its_raw_scan_a_scan_has_the_same_data_version(
    house: ScanHouse, done: Done, flawed: Done
) -> None:
    again = house.process(done.key, assets=sorted(MAPS))
    assert made_by(again) == MAPS
    assert data_version_of(again, "phase") == data_version_of(done.result, "phase")
    assert data_version_of(again, "phase") != data_version_of(flawed.result, "phase")


def test_frames_that_were_added_are_another_version_of_the_raw_scan(done: Done, flawed: Done) -> None:
    assert data_version_of(done.result, "raw_scan") != data_version_of(flawed.result, "raw_scan")


def test_an_account_that_does_not_add_up_stops_the_scan(
    house: ScanHouse, done: Done, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runstart.scans.Accounting.contradictions", lambda self: ["one frame too many"])
    result = house.process(done.key)
    assert checks_of(result) == {"frames_add_up": False, "complete": True}
    assert steps_of(result) == [f"{NAME}__raw_scan"]


def test_a_stored_file_that_is_not_what_was_published_fails_the_check(
    house: ScanHouse, done: Done, flawed: Done
) -> None:
    assert checks_of(house.check(done.key)) == {"counts_agree": True}
    nexus = house.result(done.key).objects["scan.nxs"]
    right = house.store.get(nexus).data
    house.store.put(nexus, house.store.get(house.result(flawed.key).objects["scan.nxs"]).data)
    result = house.check(done.key)
    house.store.put(nexus, right)
    (evaluation,) = result.get_asset_check_evaluations()
    assert evaluation.passed is False
    assert "was published" in (evaluation.description or "")
    assert evaluation.blocking


def test_a_scan_that_was_broken_off_is_marked(house: ScanHouse) -> None:
    key = house.put(draw_frames()[:20], np.arange(20), "broken.frames", closed=False)
    told = metadata_of(house.process(key), "center_of_mass")
    assert (told["is partial"], told["ended"], told["covered"]) == (True, "broken off", round(20 / FRAMES, 6))


def test_without_counting_there_is_no_counted_scan(house: ScanHouse, tmp_path: Path) -> None:
    plain = ScanHouse(tmp_path, house.instance, PLAIN)
    key = plain.put(draw_frames())
    assert made_by(plain.process(key)) == {"raw_scan", *MAPS} - {"counted_scan"}
    assert np.array_equal(plain.product(key).pattern, draw_frames().sum(axis=0, dtype=np.uint64))


def test_an_unknown_scan_is_told_and_not_retried(house: ScanHouse) -> None:
    house.instance.add_dynamic_partitions(f"scans_{NAME}", ["ghost"])
    result = house.process("ghost")
    (failure,) = result.filter_events(lambda event: event.is_step_failure)
    data = failure.step_failure_data.user_failure_data
    assert data is not None
    assert "was found" in (data.description or "")
    assert steps_of(result, "STEP_UP_FOR_RETRY") == []


def test_assets_have_the_code_version_of_their_results(house: ScanHouse, done: Done) -> None:
    graph = house.definitions.get_repository_def().asset_graph
    versions = {graph.get(dg.AssetKey([NAME, asset])).code_version for asset in ("raw_scan", *MAPS)}
    assert versions == {house.result(done.key).code_version}


def test_nothing_is_left_of_the_work(house: ScanHouse, flawed: Done) -> None:
    assert house.store.list(f"scans/{NAME}/{flawed.key}/work/") == []


def test_a_microscope_that_counts_has_six_assets_of_its_own_group(house: ScanHouse) -> None:
    graph = house.definitions.get_repository_def().asset_graph
    nodes = [graph.get(key) for key in graph.get_all_asset_keys()]
    assert {node.key.path[-1] for node in nodes} == {"raw_scan", *MAPS}
    assert {node.group_name for node in nodes} == {f"scans_{NAME}"}
    assert all(node.owners and node.kinds and node.description for node in nodes)
