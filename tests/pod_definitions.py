"""A code location for tests of pods: steps that sleep, eat memory and take their time to go, and a sensor that starts runs.

The sensor reads the folder `requests` of DAGSTER_HOME: a file for each run, with its job, its configuration and its tags.
"""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg

from resources.pods import define_pod_executor
from runstart.facility import HOST_IMAGE
from sensors import define_run_pods_sensor

MEBIBYTE = 2**20
BIG_MIB = 500
SMALL_LIMIT, IMAGE = "400Mi", "localhost/nowhere/none:1"


def pod(**parts: object) -> dict[str, dict[str, object]]:
    """Return the tag of an op whose pod is not as others."""
    return {"dagster-k8s/config": dict(parts)}


MEMORY = {"container_config": {"resources": {"limits": {"memory": SMALL_LIMIT}}}}
NO_IMAGE = {"container_config": {"image": IMAGE, "image_pull_policy": "Never"}}
NO_ROOM = {"container_config": {"resources": {"requests": {"cpu": "999"}}}}
SHORT = {"job_spec_config": {"active_deadline_seconds": 12}}


def failing_init() -> dict[str, dict[str, object]]:
    """Return what gives a pod an init container that fails."""
    container = {
        "name": "prepare",
        "image": HOST_IMAGE,
        "image_pull_policy": "Never",
        "command": ["/usr/bin/false"],
        "volume_mounts": [{"name": "host-0", "mount_path": "/usr", "read_only": True}],
    }
    return {"pod_spec_config": {"init_containers": [container]}}


@dg.op
def wait(context: dg.OpExecutionContext) -> None:
    """Sleep, but not in a run that retries another."""
    if context.run.parent_run_id is None:
        context.log.info("I wait.")
        time.sleep(600)


@dg.op
def go_slowly(context: dg.OpExecutionContext) -> None:
    """Sleep; take longer to go than it takes to be looked at."""
    if context.run.parent_run_id is None:
        try:
            time.sleep(600)
        finally:
            time.sleep(8)


@dg.op
def eat_run() -> None:
    """Take more memory than the first pod may, and less than the second."""
    _eat()


@dg.op(tags=pod(**MEMORY))
def eat() -> None:
    """Take more memory than the first pod may, and less than the second."""
    _eat()


@dg.op
def wait_once(context: dg.OpExecutionContext) -> None:
    """Sleep at the first attempt."""
    if context.retry_number == 0:
        time.sleep(600)


@dg.op
def wait_once_too(context: dg.OpExecutionContext) -> None:
    """Sleep at the first attempt."""
    if context.retry_number == 0:
        time.sleep(600)


@dg.op(tags=pod(**NO_IMAGE))
def has_no_image() -> None:
    """Never start."""


@dg.op(tags=pod(**failing_init()))
def has_bad_init() -> None:
    """Never start."""


@dg.op(tags=pod(**NO_ROOM))
def has_no_room() -> None:
    """Never start."""


@dg.op(tags=pod(pod_spec_config={"priority_class_name": "there-is-none"}))
def has_no_class() -> None:
    """Never start."""


@dg.op(tags=pod(**SHORT))
def has_deadline() -> None:
    """Sleep past the deadline."""
    time.sleep(600)


@dg.job(executor_def=dg.in_process_executor)
def waits() -> None:
    """One process that waits."""
    wait()


@dg.job(executor_def=dg.in_process_executor)
def goes_slowly() -> None:
    """One process that is slow to go."""
    go_slowly()


@dg.job(executor_def=dg.in_process_executor)
def eats() -> None:
    """One process that eats memory."""
    eat_run()


@dg.job(executor_def=define_pod_executor())
def passing() -> None:
    """Steps whose pods end in ways that pass."""
    wait_once()
    wait_once_too()
    eat()


@dg.job(executor_def=define_pod_executor())
def told() -> None:
    """Steps whose pods end in ways that people must mend."""
    has_no_image()
    has_bad_init()
    has_no_room()
    has_no_class()
    has_deadline()


@dg.job(executor_def=define_pod_executor())
def sleeps() -> None:
    """Steps that sleep until they are stopped."""
    wait.alias("wait_here")()
    wait.alias("wait_there")()


@dg.sensor(
    jobs=[waits, goes_slowly, eats, passing, told, sleeps],
    minimum_interval_seconds=1,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def requests() -> Iterator[dg.RunRequest]:
    """Start the runs that are asked for in files."""
    for path in sorted(Path(os.environ["DAGSTER_HOME"], "requests").glob("*.json")):
        asked = json.loads(path.read_text())
        yield dg.RunRequest(run_key=path.stem, job_name=asked["job"], tags=asked["tags"] | {"request": path.stem})


defs = dg.Definitions(
    jobs=[waits, goes_slowly, eats, passing, told, sleeps],
    sensors=[requests, define_run_pods_sensor()],
)


def _eat() -> None:
    eaten = [b"x" * MEBIBYTE for _ in range(BIG_MIB)]
    assert len(eaten) == BIG_MIB
