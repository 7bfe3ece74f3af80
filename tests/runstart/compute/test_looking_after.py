"""Jobs whose run is gone: ended by what is known, and everything that they had on this machine removed."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from compute_kit import DATA_KEY, Owners, environment, workflow_payload
from waiting import wait_until

from runstart.compute import Status
from runstart.compute.announcing import announce, last_seen
from runstart.compute.expiry import remove_expired
from runstart.compute.folders import JobFolder, make_job_folder, open_job_folder
from runstart.compute.looking_after import HANGS_AFTER_S, clean_machine, end_dead_job, overdue_s, time_out
from runstart.compute.records import RESULTS
from runstart.sessions.store_identity import store_identity


@pytest.fixture
def owners(tmp_path: Path) -> Owners:
    return Owners(tmp_path)


@pytest.mark.parametrize(
    ("at", "stopreq", "was_stopped", "expected"),
    [
        (Status.WARMING_UP, 0, False, Status.DATA_PROVISIONING_FAILED),
        (Status.CONFIGURING_VOLUMES, 0, False, Status.DATA_PROVISIONING_FAILED),
        (Status.RUNNING_ALGORITHM, 0, False, Status.ALGORITHM_FAILED),
        (Status.FILTERING, 0, False, Status.FILTER_FAILED),
        (Status.PUBLISHING, 0, False, Status.PUBLISHING_FAILED),
        (Status.RUNNING_ALGORITHM, 0, True, Status.STOPPED),
        (Status.PUBLISHING, 1, False, Status.STOPPED),
        (Status.RUNNING_ALGORITHM, 2, True, Status.TIMED_OUT),
    ],
)
def test_a_dead_job_ends_in_the_state_that_is_true(
    owners: Owners, at: Status, stopreq: int, was_stopped: bool, expected: Status
) -> None:
    record = owners.order(workflow_payload())
    record = owners.book.advance(record.job_id, at, stopreq=stopreq)
    owners.store.put(f"{RESULTS}/{record.job_id}/0/half", b"what the dead run had put")
    ended = end_dead_job(owners.book, record, "Its run is gone.", was_stopped=was_stopped)
    assert (ended.status, ended.reason) == (expected, "Its run is gone.")
    assert owners.store.list(RESULTS) == []


def test_a_job_that_ended_just_now_by_itself_stays_so(owners: Owners) -> None:
    record = owners.order(workflow_payload())
    owners.book.advance(record.job_id, Status.STOPPED)
    assert end_dead_job(owners.book, record, "Its run is gone.", was_stopped=False).status is Status.STOPPED


def test_results_of_a_run_that_finished_its_job_meanwhile_are_kept(owners: Owners) -> None:
    writes = "import os; open(os.environ['OUTPUTS'] + '/out.txt', 'w').write('result')"
    record = owners.order(workflow_payload(writes))
    seen = owners.book.advance(record.job_id, Status.STARTED)
    owners.carry_out(record)
    assert end_dead_job(owners.book, seen, "Its run is gone.", was_stopped=False).status is Status.FINISHED
    remove_expired(owners.book)
    assert owners.results(owners.read(record))["out.txt"] == b"result"


def test_what_a_dead_run_had_put_goes_also_if_its_removal_is_cut_off(
    owners: Owners, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = owners.order(workflow_payload())
    owners.store.put(f"{RESULTS}/{record.job_id}/0/half", b"what the dead run had put")
    monkeypatch.setattr("runstart.compute.looking_after.discard_results", _is_killed)
    with pytest.raises(KeyboardInterrupt):
        end_dead_job(owners.book, record, "Its run is gone.", was_stopped=False)
    assert owners.store.list(RESULTS) != []
    remove_expired(owners.book)
    assert owners.store.list(RESULTS) == []


def _is_killed(*_: Any) -> None:
    raise KeyboardInterrupt


def test_a_job_is_overdue_only_when_no_phase_can_take_so_long(owners: Owners) -> None:
    environments = {owners.environment.name: environment(max_job_s=60, max_phase_s=30)}
    record = owners.order(workflow_payload(compute={"maxtime": 20}))
    now = time.time()
    assert overdue_s(record, environments, 0.0, now + 1e6) < 0, "it waits"
    record = owners.book.advance(record.job_id, Status.RUNNING_ALGORITHM)
    assert overdue_s(record, environments, 10.0, now + 30 + 10 + HANGS_AFTER_S - 5) < 0
    assert overdue_s(record, environments, 10.0, now + 30 + 10 + HANGS_AFTER_S + 5) > 0
    assert overdue_s(record, {}, 0.0, now + 1e6) < 0
    time_out(owners.book, record)
    assert owners.read(record).stopreq == 2
    owners.book.advance(record.job_id, Status.TIMED_OUT)
    time_out(owners.book, record)


def test_only_what_belongs_to_ended_jobs_of_this_store_is_removed(owners: Owners, tmp_path: Path) -> None:
    running, ended = owners.order(workflow_payload()), owners.order(workflow_payload())
    owners.book.advance(ended.job_id, Status.STOPPED)
    store_id = store_identity(owners.store)
    folders: list[JobFolder] = [make_job_folder(owners.root, each.job_id, store_id) for each in (running, ended)]
    foreign = make_job_folder(owners.root, 32 * "0", "another store")
    (owners.root / "rs-job-mine").mkdir()
    told = clean_machine(owners.book, owners.launcher, owners.root)
    assert told == [f"Removed the folder of the job {ended.job_id}."]
    assert not folders[1].top.exists()
    for kept in (folders[0].top, foreign.top, owners.root / "rs-job-mine"):
        assert kept.exists()


def test_a_run_that_is_killed_takes_its_algorithm_and_its_folder_along(owners: Owners) -> None:
    owners.store.put(DATA_KEY, b"data")
    record = owners.order(workflow_payload("import time; print('began', flush=True); time.sleep(100)"))
    script = f"""
from pathlib import Path
from compute_kit import Owners
owners = Owners(Path({str(owners.place)!r}))
owners.carry_out(owners.book.get({record.job_id!r}))
"""
    root = Path(__file__).resolve().parents[3]
    run = subprocess.Popen([sys.executable, "-c", script], env={"PYTHONPATH": f"{root}:{root / 'tests'}"})
    try:
        _wait_until(lambda: owners.read(record).status is Status.RUNNING_ALGORITHM)
        _wait_until(lambda: owners.launcher.list({"runstart.compute_job": record.job_id}))
    finally:
        run.kill()
        run.wait()
    _wait_until(lambda: not owners.left_on_machine(record))
    assert not open_job_folder(owners.root, record.job_id).top.exists()
    assert owners.read(record).status is Status.RUNNING_ALGORITHM, "nobody has ended it yet"
    assert end_dead_job(owners.book, owners.read(record), "Killed.", was_stopped=False).status == 41


def test_environments_say_when_they_were_seen_last(owners: Owners) -> None:
    assert last_seen(owners.store) == {}
    announce(owners.store, ["b", "a"], 12.5)
    assert last_seen(owners.store) == {"a": 12.5, "b": 12.5}


def _wait_until(found: Callable[[], Any]) -> None:
    wait_until(found, "it", 60)
