"""Stops, times that are over, and interrupts, in every phase: the record tells which it was, and nothing is left."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from compute_kit import Owners, environment, input_of, workflow_payload
from waiting import wait_until

from runstart.compute import JobRecord, Status
from runstart.compute.job import JobFailed
from runstart.compute.records import RESULTS
from runstart.errors import Transient
from runstart.storage import FileStore

FOREVER = ("python3", "-c", "import time; time.sleep(300)")
PHASES = {
    "provision": Status.CONFIGURING_VOLUMES,
    "run_algorithm": Status.RUNNING_ALGORITHM,
    "filter": Status.FILTERING,
    "publish": Status.PUBLISHING,
}


class _Slow(BaseHTTPRequestHandler):
    """Sends a byte now and then, for ever."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        try:
            while True:
                self.wfile.write(b"x")
                self.wfile.flush()
                time.sleep(0.05)
        except OSError:
            return

    def log_message(self, *arguments: object) -> None:
        return


@pytest.fixture(scope="module")
def slow() -> Iterator[str]:
    """An address whose file never ends, on this machine."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Slow) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


class _StuckStore(FileStore):
    """A store in which nothing can be published for now."""

    def put(self, key: str, data: bytes) -> str:
        if key.startswith(RESULTS) and key.endswith("stuck.txt"):
            raise Transient("The store does not answer.")
        return super().put(key, data)


class _StuckOwners(Owners):
    @property
    def store(self) -> FileStore:
        return _StuckStore(self.place / "store")


def hanging(tmp_path: Path, phase: str, slow: str, **changes: Any) -> tuple[Owners, dict[str, Any]]:
    """Return a facility and a workflow that hangs in a phase."""
    limits: dict[str, Any] = {"internal_hosts": (slow,)} | changes
    code, inputs = "print('done')", []
    if phase == "provision":
        inputs = [input_of(f"http://{slow}/file")]
    elif phase == "run_algorithm":
        code = "import time; print('began', flush=True); time.sleep(300)"
    elif phase == "filter":
        limits |= {"filter_image": "filter", "filter_command": FOREVER}
    else:
        code = "import os; [open(os.environ['OUTPUTS'] + n, 'w').write('x') for n in ('/first.txt', '/stuck.txt')]"
    kind = _StuckOwners if phase == "publish" else Owners
    return kind(tmp_path, environment(**limits)), workflow_payload(code, input=inputs)


def is_in(owners: Owners, record: JobRecord, status: Status) -> bool:
    return owners.read(record).status is status


@pytest.mark.parametrize("phase", PHASES)
def test_a_stop_in_any_phase_says_stopped_within_seconds(tmp_path: Path, phase: str, slow: str) -> None:
    owners, payload = hanging(tmp_path, phase, slow)
    record = owners.order(payload)
    worker = threading.Thread(target=owners.carry_out, args=(record,))
    worker.start()
    wait_until(lambda: is_in(owners, record, PHASES[phase]), f"the phase {phase}")
    asked_at = time.time()
    owners.book.request_stop(record.job_id)
    worker.join(60)
    assert not worker.is_alive()
    ended = owners.read(record)
    assert ended.status is Status.STOPPED
    assert ended.stopreq == 1
    assert ended.finished_at is not None
    assert ended.finished_at - asked_at < 30
    assert owners.left_on_machine(record) == []
    assert not any("first.txt" in key for key in owners.store.list(RESULTS)), "outputs are whole or absent"


@pytest.mark.parametrize("phase", PHASES)
def test_time_that_is_over_in_any_phase_says_timed_out(tmp_path: Path, phase: str, slow: str) -> None:
    owners, payload = hanging(tmp_path, phase, slow, max_phase_s=1.5, max_job_s=1.5)
    record = owners.run(payload)
    assert record.status is Status.TIMED_OUT
    assert record.stopreq == 2
    assert "1.5 s" in record.reason
    assert record.history[-2].status is PHASES[phase]
    assert owners.left_on_machine(record) == []


@pytest.mark.parametrize(("told_to_stop", "expected"), [(True, Status.STOPPED), (False, Status.ALGORITHM_FAILED)])
def test_a_run_that_is_interrupted_tells_a_wish_from_an_accident(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told_to_stop: bool, expected: Status
) -> None:
    owners = Owners(tmp_path, told_to_stop=told_to_stop)
    record = owners.order(workflow_payload("import time; time.sleep(120)"))
    monkeypatch.setattr("runstart.compute.confined._await_end", _interrupt)
    with pytest.raises(KeyboardInterrupt):
        owners.carry_out(record)
    assert owners.read(record).status is expected
    assert owners.left_on_machine(record) == []


def test_a_job_that_somebody_else_has_ended_stays_as_it_was_ended(tmp_path: Path) -> None:
    owners = Owners(tmp_path)

    def end(phase: str, record: JobRecord) -> None:
        if phase == "publish":
            owners.book.advance(record.job_id, Status.TIMED_OUT, reason="The sensor's word.")

    record = owners.run(workflow_payload("import os; open(os.environ['OUTPUTS'] + '/x', 'w')"), end)
    assert record.status is Status.TIMED_OUT
    assert record.reason == "The sensor's word."
    assert owners.store.list(RESULTS) == []
    assert owners.left_on_machine(record) == []


def test_a_stop_that_comes_while_the_end_is_written_is_still_a_stop(tmp_path: Path) -> None:
    owners = Owners(tmp_path)
    record = owners.order(workflow_payload("import os; open(os.environ['OUTPUTS'] + '/x', 'w')"))
    owners.book.claim(record.job_id, "run")
    job = owners.job(record)
    for phase in (job.provision, job.run_algorithm, job.filter):
        phase()
    stopped = _StopsAtLast(owners.place / "store", record.job_id)
    object.__setattr__(job.book, "store", stopped)
    with pytest.raises(JobFailed):
        job.publish()
    assert owners.read(record).status is Status.STOPPED
    assert owners.store.list(RESULTS) == []


def test_an_error_of_our_own_ends_the_job_and_is_not_hidden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owners = Owners(tmp_path)
    record = owners.order(workflow_payload())
    monkeypatch.setattr("runstart.compute.job.run_algorithm", _raise)
    with pytest.raises(ZeroDivisionError):
        owners.carry_out(record)
    ended = owners.read(record)
    assert ended.status is Status.ALGORITHM_FAILED
    assert "ZeroDivisionError" in ended.reason
    assert owners.left_on_machine(record) == []


class _StopsAtLast(FileStore):
    """A store in which somebody asks for a stop after the last result was put."""

    def __init__(self, root: Path, job_id: str) -> None:
        super().__init__(root)
        self._job_id = job_id

    def put(self, key: str, data: bytes) -> str:
        etag = super().put(key, data)
        if key.endswith("publish.log"):
            from runstart.compute import JobBook

            JobBook(FileStore(self.root)).request_stop(self._job_id)
        return etag


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _raise(*_: object) -> None:
    raise ZeroDivisionError
