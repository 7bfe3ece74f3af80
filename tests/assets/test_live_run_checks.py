from __future__ import annotations

import io
from collections.abc import Callable

import dagster as dg
import h5py
import pytest
from dagster_kit import DagsterFacility
from run_worker import Halt
from scripted_stream import PULSE_MS, make_messages, publish

pytestmark = pytest.mark.broker

STOP = 40 * PULSE_MS


def _flip_a_count(file: h5py.File) -> None:
    counts = file["entry/tof_spectrum/counts"]
    counts[..., 3] = counts[..., 3] + 1


def _move_an_event(file: h5py.File) -> None:
    """Keep the sums, so that only the digest can tell."""
    instrument = file["entry/instrument"]
    image = instrument[f"{instrument.attrs['banks'][0]}/data"]
    values = image[()]
    image[..., 0, 0], image[..., 0, 1] = values[..., 0, 0] + 1, values[..., 0, 1] - 1


def _cook_the_ledger(file: h5py.File) -> None:
    column = file["entry/ledger/events_before_start"]
    column[()] = int(column[()]) + 1


@pytest.mark.parametrize("tamper", [_flip_a_count, _move_an_event, _cook_the_ledger])
def test_a_result_that_was_changed_after_it_was_written_fails_the_run_for_good(
    facility: DagsterFacility, instrument: str, tamper: Callable[[h5py.File], None]
) -> None:
    run = facility.new_run(instrument)
    key = facility.announce(run)
    messages = make_messages(run, range(60))
    publish(facility.bootstrap_servers, run.instrument.topics.events, [(m.payload, 0) for m in messages])
    facility.publish_stop(run, run.start_ms + STOP)
    worker = facility.work(instrument, key, halt=Halt("get", r"results/.*/run\.nxs"))
    worker.wait_until_halted()
    path = f"{facility.result(instrument, key).folder}/run.nxs"
    data = io.BytesIO(facility.store.get(path).data)
    with h5py.File(data, "r+") as file:
        tamper(file)
    facility.store.put(path, data.getvalue())
    worker.go_on()
    assert not worker.wait()
    checks = facility.checks(worker.order.run_id)
    assert checks == {"ledger_adds_up": False, "complete": True}
    records = facility.instance.all_logs(worker.order.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
    evaluations = {e.check_name: e for r in records if (e := r.dagster_event.asset_check_evaluation_data)}
    assert evaluations["ledger_adds_up"].severity is dg.AssetCheckSeverity.ERROR
    finished = facility.instance.get_run_by_id(worker.order.run_id)
    assert finished is not None
    assert finished.status is dg.DagsterRunStatus.FAILURE
    # The daemon retries runs whose process died, never one whose step or check failed.
    assert finished.tags.get("dagster/will_retry", "false") == "false"


def test_each_instrument_has_an_asset_a_job_and_two_checks(facility: DagsterFacility) -> None:
    from definitions import build_definitions

    graph = build_definitions(facility.environ).resolve_asset_graph()
    for name in facility.instruments:
        key = dg.AssetKey([name, "live_run"])
        assert graph.get(key).partitions_def == dg.DynamicPartitionsDefinition(name=f"live_runs_{name}")
        assert {check.name for check in graph.get(key).check_keys} == {"ledger_adds_up", "complete"}
