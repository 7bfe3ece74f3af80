"""The job that follows scans, executed in process: what Dagster knows afterwards is what the batch job tells."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest
from dagster_k8s.job import UserDefinedDagsterK8sConfig
from facility_kit import in_background
from scan_house import NAME, ScanHouse
from scan_stream_kit import RECIPE, streaming
from scan_work_kit import FRAMES, draw_frames, make_header
from waiting import wait_until

from resources import KafkaResource, ObjectStoreResource, ScansResource
from runstart.facility import Broker
from runstart.frame_files import RawWriter
from runstart.scans import find_scans, save_record

ASSETS = ("raw_scan", "counted_scan", "center_of_mass", "virtual_images", "phase", "diffraction_pattern")


@pytest.fixture
def house(tmp_path: Path) -> Iterator[ScanHouse]:
    with dg.instance_for_test() as instance:
        yield ScanHouse(tmp_path, instance)


def follow(house: ScanHouse, key: str) -> dg.ExecuteInProcessResult:
    return house.definitions.resolve_job_def(f"live_scan_{NAME}").execute_in_process(
        instance=house.instance, partition_key=key, raise_on_error=False
    )


def told(result: dg.ExecuteInProcessResult) -> dict[str, dict[str, Any]]:
    """Return what the newest materialization of each asset says: metadata, and what Dagster derives staleness from."""
    found = {}
    for event in result.get_asset_materialization_events():
        made = event.materialization
        tags = {name: value for name, value in (made.tags or {}).items() if "pointer" not in name}
        versions = {name: value for name, value in tags.items() if "version" in name and "is_user" not in name}
        metadata = {name: value.value for name, value in made.metadata.items()}
        found[made.asset_key.path[-1]] = {"partition": made.partition, "versions": versions, "metadata": metadata}
    return found


def checked(result: dg.ExecuteInProcessResult) -> dict[str, tuple[Any, ...]]:
    return {
        e.check_name: (e.asset_key, e.passed, e.severity, e.description, e.partition)
        for e in result.get_asset_check_evaluations()
    }


def failure_of(result: dg.ExecuteInProcessResult) -> str:
    (event,) = result.filter_events(lambda event: event.is_step_failure)
    data = event.step_failure_data.user_failure_data
    return "" if data is None else data.description or ""


def test_a_followed_scan_is_told_as_one_that_was_processed_in_batches(house: ScanHouse) -> None:
    key = house.put(draw_frames())
    live = follow(house, key)
    batches = house.process(key)
    assert live.success
    assert set(told(live)) == set(ASSETS)
    assert told(live) == told(batches)
    assert checked(live) == checked(batches)


def test_nothing_of_a_followed_scan_is_out_of_date(house: ScanHouse) -> None:
    key = house.put(draw_frames())
    assert follow(house, key).success
    graph = house.definitions.resolve_asset_graph()
    resolver = CachingStaleStatusResolver(
        house.instance, graph, loading_context=LoadingContextForTest(house.instance)
    )
    states = {name: resolver.get_status(dg.AssetKey([NAME, name]), key) for name in ASSETS}
    assert states == dict.fromkeys(ASSETS, StaleStatus.FRESH)


def test_checks_are_those_of_the_materializations_of_their_run(house: ScanHouse) -> None:
    live = follow(house, house.put(draw_frames()))
    targets = {e.target_materialization_data.run_id for e in live.get_asset_check_evaluations()}  # type: ignore[union-attr]
    assert targets == {live.run_id}


def test_a_scan_is_observed_while_it_grows_and_has_the_result_of_the_batch_job(tmp_path: Path) -> None:
    with dg.instance_for_test() as instance:
        house = ScanHouse(tmp_path, instance, give_up_seconds=60)
        house.arrivals.mkdir(parents=True)
        with RawWriter(house.arrivals / "growing.frames", make_header()) as writer:
            writer.append(draw_frames()[:8])
            writer.flush()
            (found,) = find_scans(house.microscope, None, house.store).scans
            key = found.record.scan
            instance.add_dynamic_partitions(f"scans_{NAME}", [key])
            following = in_background(lambda: follow(house, key))
            asset = dg.AssetKey([NAME, "center_of_mass"])
            wait_until(lambda: instance.fetch_observations(asset, limit=1).records, "an observation")
            (observed,) = instance.fetch_observations(asset, limit=1).records
            assert not instance.fetch_materializations(asset, limit=1).records
            writer.append(draw_frames()[8:])
        assert following.result(60).success
        digest = house.result(key).digest
        assert house.process(key).success
        assert (house.result(key).digest, observed.partition_key) == (digest, key)


def test_a_scan_that_was_broken_off_ends_in_a_marked_result_and_a_warning(house: ScanHouse) -> None:
    key = house.put(draw_frames()[:17], closed=False)
    live = follow(house, key)
    assert live.success
    metadata = told(live)["center_of_mass"]["metadata"]
    assert (metadata["is partial"], metadata["ended"], metadata["missing"]) == (True, "broken off", FRAMES - 17)
    assert checked(live)["complete"][1:3] == (False, dg.AssetCheckSeverity.WARN)


def test_a_blocking_check_that_fails_makes_the_run_fail_at_its_end(
    house: ScanHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runstart.scans.find_contradictions", lambda *files: ["The maps hold 3 frames."])
    live = follow(house, house.put(draw_frames()))
    assert failure_of(live) == "counts_agree: The maps hold 3 frames."
    made = house.instance.all_logs(live.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
    assert len(made) == len(ASSETS)


def test_a_terminated_run_has_no_result_and_says_how_to_get_one(
    house: ScanHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise dg.DagsterExecutionInterruptedError

    key = house.put(draw_frames())
    monkeypatch.setattr("runstart.scans.follow_scan", interrupt)
    job = house.definitions.resolve_job_def(f"live_scan_{NAME}")
    with pytest.raises(dg.DagsterExecutionInterruptedError):
        job.execute_in_process(instance=house.instance, partition_key=key)
    (run,) = house.instance.get_runs()
    text = "\n".join(entry.user_message for entry in house.instance.all_logs(run.run_id))
    assert f"Launch the job scan_{NAME} for this partition" in text
    assert house.store.list(f"scans/{NAME}/{key}/results/") == []
    assert house.store.list("run_beats/") == []


def test_the_run_s_pod_is_described_in_words_that_kubernetes_knows(house: ScanHouse) -> None:
    job = house.scans.live_job
    assert job.executor_def.name == dg.in_process_executor.name
    config = json.loads(job.tags["dagster-k8s/config"])
    parsed = UserDefinedDagsterK8sConfig.from_dict(config)
    assert parsed.container_config == config["container_config"]


def test_a_file_that_is_gone_fails_the_run_with_a_remedy(house: ScanHouse) -> None:
    key = house.put(draw_frames())
    (house.arrivals / key).unlink()
    assert "is gone" in failure_of(follow(house, key))


@pytest.mark.broker
def test_a_streamed_scan_is_followed_and_can_be_processed_by_the_batch_job(
    broker: Broker, topic_name: Callable[[str], str], tmp_path: Path
) -> None:
    with (
        dg.instance_for_test() as instance,
        streaming(tmp_path / "stream", broker.bootstrap_servers, topic_name) as scan,
    ):
        house = ScanHouse(tmp_path / "house", instance, RECIPE, give_up_seconds=20)
        key = save_record(house.store, scan.record()).scan
        instance.add_dynamic_partitions(f"scans_{NAME}", [key])
        scan.stream.send()
        live = house.scans.live_job.execute_in_process(
            instance=instance,
            partition_key=key,
            resources={
                "kafka": KafkaResource(clusters={"default": broker.bootstrap_servers}),
                "object_store": ObjectStoreResource(url=f"file:{house.store.root}"),
                "scans": ScansResource(),
            },
        )
        digest = house.result(key).digest
        assert (live.success, digest) == (True, scan.undisturbed().digest)
        assert house.process(key).success
        assert house.result(key).digest == digest
