import time
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.remote_origin import (
    GrpcServerCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    InstigatorType,
    SensorInstigatorData,
    TickData,
    TickStatus,
)
from dagster_shared.error import SerializableErrorInfo

from resources import ObjectStoreResource
from runstart.metrics import SensorFigures, read_daemon_figures
from runstart.storage import FileStore
from sensors.metrics import collect_figures, define_metrics_sensor

ERROR = SerializableErrorInfo("it failed", [], None)


@dg.op
def nothing() -> None:
    """Do nothing."""


@dg.job
def idle() -> None:
    nothing()


def test_a_tick_writes_the_runs_by_status(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "store")
    resources = {"object_store": ObjectStoreResource(url=f"file:{tmp_path / 'store'}")}
    with dg.instance_for_test() as instance:
        idle.execute_in_process(instance=instance)
        instance.create_run_for_job(idle, status=dg.DagsterRunStatus.STARTED)
        with dg.build_sensor_context(instance, resources=resources, instance_ref=instance.get_ref()) as context:
            data = define_metrics_sensor().evaluate_tick(context)
    assert data.skip_message == "Wrote 2 runs and 0 sensors."
    figures = read_daemon_figures(store)
    assert figures is not None
    assert (figures.runs["success"], figures.runs["started"], figures.runs["queued"]) == (1, 1, 0)
    assert figures.written_at == pytest.approx(time.time(), abs=60)


def test_ticks_and_cursors_of_sensors_that_are_on_are_told() -> None:
    counts = '{"unreadable": 3, "refused": 1, "offsets": {}}'
    with dg.instance_for_test() as instance:
        on, off = InstigatorStatus.RUNNING, InstigatorStatus.STOPPED
        add_sensor(instance, "run_starts", on, counts, [TickStatus.FAILURE, TickStatus.SKIPPED])
        add_sensor(instance, "broken", on, "no JSON", [TickStatus.SUCCESS, TickStatus.FAILURE])
        add_sensor(instance, "odd", on, "[1]", [])
        add_sensor(instance, "stopped", off, None, [TickStatus.SUCCESS])
        figures = collect_figures(instance, 7.0)
    assert figures.sensors == {
        "run_starts": SensorFigures(ticked_at=101.0, unreadable=3, refused=1),
        "broken": SensorFigures(ticked_at=101.0, failed=True),
        "odd": SensorFigures(),
    }
    assert figures.written_at == 7.0


def add_sensor(
    instance: dg.DagsterInstance, name: str, status: InstigatorStatus, cursor: str | None, ticks: list[TickStatus]
) -> None:
    location = GrpcServerCodeLocationOrigin(host="localhost", port=1, location_name="here")
    origin = RemoteInstigatorOrigin(RemoteRepositoryOrigin(location, "repository"), name)
    state = InstigatorState(origin, InstigatorType.SENSOR, status, SensorInstigatorData(cursor=cursor))
    instance.add_instigator_state(state)
    for number, tick in enumerate(ticks):
        data = TickData(
            instigator_origin_id=state.instigator_origin_id,
            instigator_name=name,
            instigator_type=InstigatorType.SENSOR,
            status=tick,
            timestamp=100.0 + number,
            error=ERROR if tick == TickStatus.FAILURE else None,
            run_ids=["run"] if tick == TickStatus.SUCCESS else None,
            selector_id=state.selector_id,
        )
        instance.create_tick(data)
