"""What Dagster is given: the same asset graph, jobs and sensors as reviewed, quick to load, on every deployment.

The snapshots under `tests/snapshots/` are for people to read. After a change that is meant, make them anew with
`RUNSTART_UPDATE_SNAPSHOTS=1 pytest tests/test_definitions.py` and look at the difference.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from runstart.errors import Alert

ROOT = Path(__file__).resolve().parents[1]
SNAPSHOTS = Path(__file__).with_name("snapshots")

# Two clusters, an instrument without live reduction: every kind of thing that definitions are made of.
INSTRUMENTS = """
[kafka.default]
bootstrap_servers = "kafka.example:9092"
[kafka.hall2]
bootstrap_servers = "hall2.example:9092"

[instruments.ALFA]
title = "First"
tof = { start_us = 0, stop_us = 100_000, bins = 100 }
[[instruments.ALFA.banks]]
name = "rear"
shape = [4, 8]
first_detector_id = 1

[instruments.BRAVO]
live_reduction = false
tof = { start_us = 0, stop_us = 100_000, bins = 100 }
[[instruments.BRAVO.banks]]
name = "rear"
shape = [8]
first_detector_id = 1

[instruments.CHARLIE]
kafka = "hall2"
tof = { start_us = 0, stop_us = 100_000, bins = 100 }
[[instruments.CHARLIE.banks]]
name = "rear"
shape = [8]
first_detector_id = 1
"""

# One that counts electrons, and one that does not.
MICROSCOPES = """
[microscopes.DELTA]
title = "Counting"
scans = "s3://scans/delta"
counting = { background_threshold = 28, xray_threshold = 2000 }
detectors = [{ name = "bright_field", outer = 20 }]

[microscopes.ECHO]
scans = "file:/data/echo"
announcements = { topic = "ECHO_scans" }
"""

DEPLOYMENTS = {
    "laptop": {"RUNSTART_DEPLOYMENT": "laptop", "RUNSTART_OBJECT_STORE": "file:/var/lib/runstart"},
    "cluster": {
        "RUNSTART_DEPLOYMENT": "cluster",
        "RUNSTART_OBJECT_STORE": "s3://facility/runstart",
        "AWS_ENDPOINT_URL_S3": "http://s3.example:8333",
    },
}
HEAVY = (
    "prometheus_client",
    "epics",
    "dulwich",
    "numba",
    "h5py",
    "matplotlib",
    "scipy",
    "boto3",
    "dagster_aws",
    "astropy",
    "confluent_kafka",
    "kafka",
    "PIL",
    "tifffile",
    "hdf5plugin",
    "msgpack",
    "zmq",
    "docker",
    "psutil",
    "pynvml",
)


@pytest.fixture
def instruments_file(tmp_path: Path) -> Path:
    path = tmp_path / "instruments.toml"
    path.write_text(INSTRUMENTS)
    return path


@pytest.fixture
def microscopes_file(tmp_path: Path) -> Path:
    path = tmp_path / "microscopes.toml"
    path.write_text(MICROSCOPES)
    return path


@pytest.mark.parametrize("deployment", DEPLOYMENTS)
def test_definitions_are_those_of_the_snapshot(
    deployment: str, instruments_file: Path, microscopes_file: Path
) -> None:
    from definitions import build_definitions

    files = {"RUNSTART_INSTRUMENTS": str(instruments_file), "RUNSTART_MICROSCOPES": str(microscopes_file)}
    environ = DEPLOYMENTS[deployment] | files
    text = json.dumps(describe(build_definitions(environ)), indent=1, sort_keys=True) + "\n"
    snapshot = SNAPSHOTS / f"definitions-{deployment}.json"
    if os.environ.get("RUNSTART_UPDATE_SNAPSHOTS"):
        snapshot.write_text(text)
    assert text == snapshot.read_text()


@pytest.mark.parametrize("deployment", DEPLOYMENTS)
def test_definitions_load_without_heavy_libraries(deployment: str, microscopes_file: Path) -> None:
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("RUNSTART_", "AWS_"))}
    environ["RUNSTART_MICROSCOPES"] = str(microscopes_file)
    code = f"import definitions, sys; print(*[m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=environ | DEPLOYMENTS[deployment],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == []


def test_every_job_and_asset_can_be_resolved_with_its_resources(
    instruments_file: Path, microscopes_file: Path
) -> None:
    from definitions import build_definitions

    files = {"RUNSTART_INSTRUMENTS": str(instruments_file), "RUNSTART_MICROSCOPES": str(microscopes_file)}
    environ = DEPLOYMENTS["laptop"] | files
    dg.Definitions.validate_loadable(build_definitions(environ))


def test_unknown_deployment_is_an_alert(instruments_file: Path) -> None:
    from definitions import build_definitions

    with pytest.raises(Alert, match="'moon'"):
        build_definitions({"RUNSTART_DEPLOYMENT": "moon", "RUNSTART_INSTRUMENTS": str(instruments_file)})


def describe(definitions: dg.Definitions) -> dict[str, Any]:
    """Return everything of the definitions that a reviewer should see change."""
    repository = definitions.get_repository_def()
    graph = repository.asset_graph
    return {
        "assets": {key.to_user_string(): _asset(graph.get(key)) for key in graph.get_all_asset_keys()},
        "checks": {key.to_user_string(): {"blocking": graph.get(key).blocking} for key in graph.asset_check_keys},
        "jobs": {job.name: _job(job) for job in repository.get_all_jobs()},
        "sensors": {sensor.name: _sensor(sensor) for sensor in repository.sensor_defs},
        "schedules": {
            schedule.name: {
                "cron": schedule.cron_schedule,
                "job": schedule.job_name,
                "timezone": schedule.execution_timezone,
                "default_status": schedule.default_status.value,
            }
            for schedule in repository.schedule_defs
        },
        "resources": {
            name: resource.model_dump(exclude={"sites_file", "beside"})  # paths of this machine
            for name, resource in (definitions.resources or {}).items()
        },
    }


def _asset(node: Any) -> dict[str, Any]:
    return {
        "deps": sorted(key.to_user_string() for key in node.parent_keys),
        "partitions": None if node.partitions_def is None else str(node.partitions_def),
        "group": node.group_name,
        "kinds": sorted(node.kinds),
        "owners": sorted(node.owners),
        "checks": sorted(key.name for key in node.check_keys),
        "backfill": str(node.backfill_policy),
        "follows_by_itself": node.automation_condition is not None,
        "has_freshness_policy": node.freshness_policy is not None,
    }


def _job(job: dg.JobDefinition) -> dict[str, Any]:
    return {
        "assets": sorted(key.to_user_string() for key in job.asset_layer.executable_asset_keys),
        "partitions": None if job.partitions_def is None else str(job.partitions_def),
        "executor": job.executor_def.name,
        "run_tags": dict(job.run_tags),
    }


def _sensor(sensor: dg.SensorDefinition) -> dict[str, Any]:
    return {
        "default_status": sensor.default_status.value,
        "minimum_interval_seconds": sensor.minimum_interval_seconds,
        "jobs": sorted(target.job_name for target in sensor.targets),
        "resources": sorted(sensor.required_resource_keys),
    }
