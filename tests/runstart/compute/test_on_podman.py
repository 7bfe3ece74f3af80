"""Compute jobs in containers of a real engine: the same states, the same results, the same walls, and nothing left."""

from __future__ import annotations

import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from compute_kit import DATA_KEY, Owners, environment, input_of, workflow_payload
from waiting import wait_until

from runstart.compute import JobRecord, Status
from runstart.facility import HOST_IMAGE, host_mounts
from runstart.launchers import DockerLauncher, LaunchSpec, Task

if TYPE_CHECKING:
    from runstart.facility import Podman

pytestmark = [pytest.mark.real, pytest.mark.faults, pytest.mark.timeout(180)]

IMAGE, _, TAG = HOST_IMAGE.rpartition(":")
CONTAINER = {"image": IMAGE, "tag": TAG, "entrypoint": f"{sys.executable} -I $ALGO"}


class _HostLauncher(DockerLauncher):
    """Gives every container this machine's programs, since no image with any can be pulled here."""

    def start(self, spec: LaunchSpec) -> Task:
        return super().start(replace(spec, mounts=(*spec.mounts, *host_mounts())))


@pytest.fixture
def owners(tmp_path: Path, podman: Podman) -> Owners:
    # What runs in a container is nobody's on this machine.
    for path in (tmp_path, *tmp_path.parents[:2]):
        path.chmod(path.stat().st_mode | 0o111)
    return Owners(
        tmp_path,
        environment(images=("localhost/",), raw_code_without_image=False),
        _HostLauncher(podman.environment),
    )


def payload(code: str, **changes: Any) -> dict[str, Any]:
    made = workflow_payload(code, **changes)
    made["stages"][0]["algorithm"]["container"] = CONTAINER
    return made


def test_an_algorithm_sees_what_oceans_algorithms_see_and_leaves_its_results(owners: Owners) -> None:
    owners.store.put(DATA_KEY, b"counts")
    code = """
    import json, os
    names = ("ALGO", "INPUTS", "OUTPUTS", "LOGS", "DDOS", "VOLUME", "DIDS", "TRANSFORMATION_DID")
    json.dump({name: os.environ[name] for name in names}, open("/data/outputs/environment.json", "w"))
    data = open("/data/inputs/" + "a" * 64 + "/0").read()
    open("/data/logs/mine.log", "w").write(data)
    print("done with", data)
    """
    record = owners.run(payload(code, input=[input_of(f"store:{DATA_KEY}")]))
    assert record.status is Status.FINISHED, record.reason
    results = owners.results(record)
    assert results["mine.log"] == b"counts"
    assert results["algorithm.log"] == b"done with counts\n"
    assert b'"ALGO": "/data/transformations/algorithm"' in results["environment.json"]
    assert b'"OUTPUTS": "/data/outputs"' in results["environment.json"]
    assert owners.left_on_machine(record) == []


def test_an_image_that_does_not_exist_ends_the_job_before_its_algorithm(owners: Owners) -> None:
    made = payload("print('never run')")
    made["stages"][0]["algorithm"]["container"] = CONTAINER | {"image": "localhost/no-such-image"}
    owners.environment = environment(images=("localhost/",), raw_code_without_image=False, max_phase_s=150)
    record = owners.run(made)
    assert record.status is Status.ALGORITHM_PROVISIONING_FAILED
    assert "no-such-image" in record.reason
    assert owners.left_on_machine(record) == []


@pytest.mark.parametrize(
    ("code", "limits", "expected"),
    [
        ("raise SystemExit(3)", {}, Status.ALGORITHM_FAILED),
        ("x = b'1' * 400_000_000; import time; time.sleep(60)", {"ram_gb": 0.1}, Status.ALGORITHM_FAILED),
        ("import time; time.sleep(60)", {"max_job_s": 2.0}, Status.TIMED_OUT),
        (
            "open('/data/outputs/x', 'wb').write(bytes(90_000_000)); import time; time.sleep(60)",
            {},
            Status.ALGORITHM_FAILED,
        ),
    ],
    ids=["exit", "memory", "time", "disk"],
)
def test_what_goes_wrong_is_named_and_nothing_is_left(
    owners: Owners, code: str, limits: dict[str, Any], expected: Status
) -> None:
    owners.environment = environment(images=("localhost/",), raw_code_without_image=False, **limits)
    record = owners.run(payload(code))
    assert record.status is expected, record.reason
    assert owners.left_on_machine(record) == []


def test_a_stop_ends_the_container_and_says_stopped(owners: Owners) -> None:
    record = owners.order(payload("import time; time.sleep(100)"))
    worker = threading.Thread(target=owners.carry_out, args=(record,))
    worker.start()
    wait_until(lambda: owners.launcher.list({"runstart.compute_job": record.job_id}), "the container", 60)
    owners.book.request_stop(record.job_id)
    worker.join(60)
    assert owners.read(record).status is Status.STOPPED
    assert owners.left_on_machine(record) == []


def test_it_reaches_no_network_no_other_job_and_changes_none_of_its_inputs(owners: Owners) -> None:
    owners.store.put(DATA_KEY, b"secret of another job")
    code = f"""
    import os, socket
    for address in (("127.0.0.1", 80), ("169.254.169.254", 80), ("1.1.1.1", 53)):
        try:
            socket.create_connection(address, 2)
            print("open")
        except OSError:
            pass
    for path in (os.environ["ALGO"], "/data/inputs/new", "/etc/new", "/new"):
        try:
            open(path, "w")
            print("changed", path)
        except OSError:
            pass
    for top in ({str(owners.place)!r}, "/data"):
        for folder, _, files in os.walk(top):
            for name in files:
                print(open(os.path.join(folder, name), errors="replace").read()[:100])
    print("tried as", os.getuid())
    """

    def attack(phase: str, _: JobRecord) -> None:
        if phase == "run_algorithm":
            attacker = owners.order(payload(code))
            owners.carry_out(attacker)
            ended = owners.read(attacker)
            assert ended.status is Status.FINISHED, ended.reason
            seen = owners.log(ended)
            assert "tried as" in seen
            assert "tried as 0" not in seen
            assert not {"open", "changed", "secret of another job"} & set(seen.split("\n"))

    assert (
        owners.run(payload("print('ok')", input=[input_of(f"store:{DATA_KEY}")]), attack).status is Status.FINISHED
    )
