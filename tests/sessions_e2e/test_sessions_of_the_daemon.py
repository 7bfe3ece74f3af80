"""Sessions that the daemon runs: asked for, beside each other, terminated, killed; nothing of any is left."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster_kit import REPOSITORY, DagsterFacility
from facility_view import UNFINISHED
from toy_sessions import pipeline, toy_environ, write_pipeline, write_toys
from waiting import wait_until

from runstart.host import Reservations
from runstart.sessions import SessionRecord, SessionSettings, read_record, read_records, read_status
from runstart.sessions.folders import find_session_folders

pytestmark = [pytest.mark.real, pytest.mark.faults, pytest.mark.timeout(180)]

SESSION_TAG = "runstart/session"


class Sessions(DagsterFacility):
    """A facility whose daemon runs sessions; one that has failed is not tried again."""

    def __init__(self, folder: Path) -> None:
        operators = write_toys(folder / "operators")
        write_pipeline(operators, "endless", pipeline([("idler", {}), ("shower", {})]))
        environ = toy_environ(operators, folder)
        path = [REPOSITORY, REPOSITORY / "tests", Path(__file__).parent]
        super().__init__(
            folder / "facility",
            "",
            "127.0.0.1:9",
            environ["RUNSTART_OBJECT_STORE"],
            environ | {"PYTHONPATH": os.pathsep.join(map(str, path))},
            module="session_definitions",
            settings={"max_retries: 5": "max_retries: 0"},
        )

    def launch(self) -> tuple[dg.DagsterRun, str]:
        """Launch the pipeline that never ends through the queue; return its run and its session when messages flow."""
        before = {run.run_id for run in self.instance.get_runs()}
        self.run_cli("job", "launch", "-m", self.module, "-j", "pipeline_endless")
        (run,) = [run for run in self.instance.get_runs() if run.run_id not in before]
        wait_until(lambda: SESSION_TAG in self.run(run).tags, "the run's session", 60, 0.2)
        session_id = self.run(run).tags[SESSION_TAG]
        wait_until(lambda: self.received(session_id) > 0, "the first message", 60, 0.2)
        return self.run(run), session_id

    def run(self, run: dg.DagsterRun) -> dg.DagsterRun:
        """Return a run as it is now."""
        found = self.instance.get_run_by_id(run.run_id)
        assert found is not None
        return found

    def record(self, session_id: str) -> SessionRecord:
        return read_record(self.store, session_id)

    def received(self, session_id: str) -> int:
        """Return how many messages have come to the operators of a session."""
        status = read_status(self.store, session_id)
        return sum(int(each["received"]) for each in status.get("operators", []))

    def end_of(self, run: dg.DagsterRun) -> dg.DagsterRunStatus:
        """Wait until a run has ended."""
        wait_until(lambda: self.run(run).status not in UNFINISHED, "the end of the run", 60, 0.2)
        return self.run(run).status

    def process_of(self, run: dg.DagsterRun) -> int:
        """Return the process that executes a run."""
        text = "\n".join(entry.message for entry in self.instance.all_logs(run.run_id))
        found = re.search(r"Started process for run \(pid: (\d+)\)", text)
        assert found, text
        return int(found[1])

    def wait_until_nothing_is_left(self, session_id: str) -> None:
        """Wait for the end of a session's processes, folder, reservation, and record."""
        try:
            wait_until(lambda: not self.remains(session_id), f"{session_id} to be gone", 60, 0.2)
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.remains(session_id)}") from error

    def remains(self, session_id: str) -> list[str]:
        """Return what there is of a session."""
        folders = [found.path for found in find_session_folders() if found.session_id == session_id]
        living = Reservations(SessionSettings().reservations).living()
        reserved = [f"reserved by {held.session_id}" for held in living if held.session_id == session_id]
        open_record = [] if self.record(session_id).has_ended else ["a record that has no end"]
        return [*map(str, [*folders, *reserved, *_processes(session_id)]), *open_record]


def _processes(session_id: str) -> list[Path]:
    """Return the processes whose environment names a session: its operators."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            environment = (path / "environ").read_bytes()
        except OSError:
            continue
        if session_id.encode() in environment:
            found.append(path)
    return found


@pytest.fixture(scope="module")
def facility(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sessions]:
    """A daemon that all tests here share; one that kills it starts it again."""
    with Sessions(tmp_path_factory.mktemp("sessions")) as opened:
        opened.start()
        yield opened


def test_a_requested_session_is_launched_once_and_counts_its_messages(facility: Sessions) -> None:
    command = [
        str(Path(sys.executable).with_name("runstart")),
        "session",
        "request",
        "--count",
        "700",
        "--segmented",
    ]
    subprocess.run(command, env=os.environ | facility.environ, check=True, cwd=REPOSITORY)

    def launched() -> list[SessionRecord]:
        return [record for record in read_records(facility.store) if record.kind == "probe"]

    wait_until(launched, "the session", 60, 0.2)
    (record,) = launched()
    (run,) = facility.instance.get_runs(dg.RunsFilter(run_ids=[record.run_id]))
    assert facility.end_of(run) is dg.DagsterRunStatus.SUCCESS, facility.daemon_log[-3000:]
    (event,) = facility.instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
    assert event.asset_materialization is not None
    assert event.asset_materialization.metadata["arrived"].value == 700
    facility.wait_until_nothing_is_left(record.session_id)
    wait_until(lambda: not facility.store.list("session_requests/"), "the request to go", 30, 0.2)
    assert len(launched()) == 1


def test_of_two_sessions_one_is_killed_and_the_other_goes_on_until_it_is_terminated(facility: Sessions) -> None:
    killed, killed_session = facility.launch()
    other, other_session = facility.launch()
    assert _processes(killed_session)

    os.kill(facility.process_of(killed), signal.SIGKILL)
    facility.wait_until_nothing_is_left(killed_session)
    assert facility.end_of(killed) is dg.DagsterRunStatus.FAILURE
    record = facility.record(killed_session)
    assert record.state == "failed"
    assert "the process that ran it has died" in record.reason

    before = facility.received(other_session)
    wait_until(lambda: facility.received(other_session) > before, "more messages of the other session", 30, 0.2)
    facility.instance.run_coordinator.cancel_run(other.run_id)
    assert facility.end_of(other) is dg.DagsterRunStatus.CANCELED
    facility.wait_until_nothing_is_left(other_session)
    assert facility.record(other_session).state == "stopped"


def test_a_daemon_that_is_killed_with_its_session_cleans_up_when_it_is_started_again(facility: Sessions) -> None:
    run, session_id = facility.launch()
    facility.kill()
    assert facility.remains(session_id)
    facility.start()
    facility.wait_until_nothing_is_left(session_id)
    assert facility.end_of(run) is dg.DagsterRunStatus.FAILURE
    assert facility.record(session_id).state == "failed"
