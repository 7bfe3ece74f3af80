"""Compute jobs of a whole facility whose algorithms run in containers: from the order to the result, and killed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from compute_house import ComputeHouse
from compute_kit import workflow_payload
from recorded_spectrum import Recorded, check_mean_spectrum
from waiting import wait_until

from runstart.compute import Status
from runstart.facility import HOST_IMAGE

if TYPE_CHECKING:
    from runstart.facility import Podman

pytestmark = [pytest.mark.real, pytest.mark.faults, pytest.mark.timeout(300)]

IMAGE, _, TAG = HOST_IMAGE.rpartition(":")
CONTAINER = {"image": IMAGE, "tag": TAG, "entrypoint": f"{sys.executable} -I $ALGO"}


@pytest.fixture(scope="module")
def container_house(tmp_path_factory: pytest.TempPathFactory, podman: Podman) -> Iterator[ComputeHouse]:
    folder = tmp_path_factory.mktemp("containers")
    # What runs in a container is nobody's on this machine.
    for path in (folder, *folder.parents[:2]):
        path.chmod(path.stat().st_mode | 0o111)
    with ComputeHouse(folder, {"RUNSTART_LAUNCHER": "containers", **podman.environment}) as opened:
        opened.serve()
        yield opened


def test_a_container_makes_the_mean_spectrum_that_numpy_makes(
    container_house: ComputeHouse, recorded: Recorded
) -> None:
    check_mean_spectrum(container_house, recorded, CONTAINER)


def test_the_container_of_a_run_that_was_killed_is_removed_and_its_job_ends(container_house: ComputeHouse) -> None:
    code = "import time; print('began', flush=True); time.sleep(500)"
    workflow = workflow_payload(algorithm={"rawcode": code, "container": CONTAINER})
    job_id = container_house.client().start(workflow)
    record = container_house.wait_for(job_id, Status.RUNNING_ALGORITHM)
    wait_until(lambda: len(container_house.owners.left_on_machine(record)) > 1, "its folder and container", 60)
    container_house.kill_run(job_id)
    ended = container_house.end_of(job_id)
    assert (ended.status, ended.results) == (Status.ALGORITHM_FAILED, ())
