"""The algorithm as it is launched: its limits, its words, and images that lead inside."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest
from compute_kit import Owners, environment, workflow_payload

from runstart.compute import ComputeEnvironment, Status, order_job, read_workflow
from runstart.compute.algorithm import algorithm_program, algorithm_time, prepare_image
from runstart.compute.provision import AlgorithmProvisioningFailed
from runstart.compute.watching import JobStopped, Watch
from runstart.errors import Transient
from runstart.launchers import Isolation, KubernetesLauncher, SubprocessLauncher


class _Engine(SubprocessLauncher):
    """Runs images, as far as anybody sees who only fetches them."""

    runs_images = True

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.fails = 0
        self.takes_s = 0.0

    def fetch_image(self, image: str) -> None:
        time.sleep(self.takes_s)
        if self.fails:
            self.fails -= 1
            raise Transient("The registry does not answer.")
        self.fetched.append(image)


@pytest.fixture
def owners(tmp_path: Path) -> Owners:
    return Owners(tmp_path, environment(), _Engine())


def prepare(owners: Owners, image: str = "python", **changes: Any) -> None:
    container = {"image": image, "tag": "3.11", "entrypoint": "python $ALGO"} | changes
    payload = workflow_payload(algorithm={"container": container, "rawcode": "print('hello')"})
    record = owners.order(payload)
    watch = Watch(owners.book, record.job_id, "Fetching", 60)
    prepare_image(record, owners.environment, owners.launcher, watch)


def test_a_job_gets_what_it_asks_for_and_at_most_what_there_is() -> None:
    owner = ComputeEnvironment(name="a", cpus=4, ram_gb=8, disk_gb=20, max_job_s=100, processes=77)
    asked = {"cpuNumber": 2, "ramGB": 3, "diskGB": 5, "maxtime": 50}
    for compute, expected in (({}, (4, 8, 20, 100)), (asked, (2, 3, 5, 50))):
        workflow = read_workflow(workflow_payload(compute=compute))
        record = order_job(workflow, owner, agreement_id="a", owner="o", provider="p")
        limits = algorithm_program(record, owner).limits
        ram, disk = (limits.memory_bytes or 0) / 1e9, (limits.disk_bytes or 0) / 1e9
        assert (limits.cpus, ram, disk, limits.seconds) == expected
        assert limits.processes == 77
        assert algorithm_time(record, owner, SubprocessLauncher()) > expected[3]
        smaller = owner.model_copy(update={"max_job_s": 10.0, "ram_gb": 1.0})
        assert algorithm_program(record, smaller).limits.seconds == 10, "the owner has lowered it since"
        assert algorithm_program(record, smaller).limits.memory_bytes == 1_000_000_000


def test_an_image_is_fetched_by_its_digest_or_tag_and_again_when_the_registry_was_away(owners: Owners) -> None:
    engine = owners.launcher
    assert isinstance(engine, _Engine)
    engine.fails = 2
    prepare(owners)
    digest = "sha256:" + 64 * "1"
    prepare(owners, checksum=digest)
    assert engine.fetched == ["python:3.11", f"python@{digest}"]


@pytest.mark.parametrize("image", ["localhost/x", "127.0.0.1:5000/x", "169.254.169.254/x", "10.0.0.1/a/b"])
def test_an_image_from_inside_is_never_asked_for_unless_the_owner_names_it(owners: Owners, image: str) -> None:
    engine = owners.launcher
    assert isinstance(engine, _Engine)
    with pytest.raises(AlgorithmProvisioningFailed):
        prepare(owners, image)
    assert engine.fetched == []
    if image == "127.0.0.1:5000/x":
        owners.environment = environment(internal_hosts=("127.0.0.1:5000",))
        prepare(owners, image)
        owners.environment = environment(images=("127.0.0.1:5000/",))
        prepare(owners, image)
        assert engine.fetched == 2 * ["127.0.0.1:5000/x:3.11"]


def test_a_stop_does_not_wait_for_an_image(owners: Owners) -> None:
    engine = owners.launcher
    assert isinstance(engine, _Engine)
    engine.takes_s = 5.0
    began = time.monotonic()
    stop = threading.Timer(0.5, lambda: [owners.book.request_stop(job_id) for job_id in owners.book.open_ids()])
    stop.start()
    with pytest.raises(JobStopped):
        prepare(owners)
    assert time.monotonic() - began < 4
    stop.join()


def test_a_machine_that_cannot_confine_runs_no_algorithm(tmp_path: Path) -> None:
    owners = Owners(tmp_path, environment(), SubprocessLauncher(Isolation("fault isolation only")))
    record = owners.run(workflow_payload())
    assert record.status is Status.ALGORITHM_PROVISIONING_FAILED
    assert "cannot confine" in record.reason
    assert owners.left_on_machine(record) == []


def test_a_cluster_that_may_not_hold_the_processes_of_an_environment_runs_no_algorithm(owners: Owners) -> None:
    owners.launcher = KubernetesLauncher({"RUNSTART_LAUNCHER_POD_PIDS": "1024"})
    record = owners.run(workflow_payload())
    assert record.status is Status.ALGORITHM_PROVISIONING_FAILED
    assert "256 processes" in record.reason
    assert "RUNSTART_LAUNCHER_POD_PIDS" in record.reason


def test_words_of_the_entrypoint_are_split_and_filled_in_without_a_shell(owners: Owners) -> None:
    owners = Owners(owners.place)
    container = {"image": "a", "entrypoint": "python3 $ALGO 'two words' $HOME/x $UNKNOWN ; rm"}
    code = "import sys; print(sys.argv[1:])"
    record = owners.run(workflow_payload(algorithm={"container": container, "rawcode": code}))
    work = str(owners.job(record)._folder.work)
    assert owners.log(record) == f"['two words', '{work}/x', '$UNKNOWN', ';', 'rm']\n"
