"""The clean-up: everything of the dead and the hung, nothing of the living, and nothing that is not ours."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from probe_kit import ListedEngine, write_status
from waiting import wait_until

from runstart.errors import Alert
from runstart.launchers import SubprocessLauncher
from runstart.launchers._tree import descendants
from runstart.sessions.cleaning import ENDING_S, ORPHANED_AFTER_S, clean_up
from runstart.sessions.folders import find_session_folders, make_session_folder, remove_session_folder
from runstart.sessions.labels import session_labels, task_labels
from runstart.sessions.records import (
    SessionRecord,
    State,
    new_session_id,
    read_record,
    session_key,
    write_record,
)
from runstart.sessions.store_identity import STORE_KEY, store_identity
from runstart.storage import FileStore

HUNG_S = 100.0

# An hour from now: sessions that began an hour before are as old as this process, and no younger than its number.
NOW = time.time() + 3600

SESSION = """
import sys
from pathlib import Path
from probe_kit import Remembering, session_settings, write_status
from runstart.launchers import SubprocessLauncher
from runstart.probe_sessions import ProbeOrder, run_probe_session
from runstart.storage import FileStore
folder = Path(sys.argv[1])
order = ProbeOrder(10_000_000, False, sys.argv[2])
run_probe_session(order, SubprocessLauncher(), FileStore(folder / "store"), session_settings(folder), Remembering())
"""


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return FileStore(tmp_path / "store")


@pytest.fixture
def engine() -> ListedEngine:
    return ListedEngine()


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep the session folders of these tests apart from all others."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture(scope="module")
def dead_pid() -> int:
    """Return the number of a process that has ended."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def session(
    store: FileStore, engine: ListedEngine, *, state: State = "running", age_s: float = 3600.0, **fields: object
) -> SessionRecord:
    """Write the record of a session that has two tasks, a network and a folder."""
    record = dataclasses.replace(
        SessionRecord(new_session_id(), "pipeline", "maps", state=state, started_at=NOW - age_s), **fields
    )
    store_id = store_identity(store)
    folder = make_session_folder(record, store_id)
    record = dataclasses.replace(record, folder=str(folder), network=f"net-{record.session_id}")
    write_record(store, record)
    for replica in range(2):
        engine.add(
            f"count {replica} of {record.session_id}",
            task_labels(record.session_id, store_id, "count", replica),
            NOW - age_s,
        )
    engine.make_network(record.network, session_labels(record.session_id, store_id))
    return record


def clean(engine: ListedEngine, store: FileStore, is_over: Callable[[str], bool] = lambda _: False) -> list[str]:
    return clean_up(engine, store, is_over, HUNG_S, NOW)


def is_untouched(engine: ListedEngine, record: SessionRecord) -> bool:
    tasks = [task for task in engine.tasks if task.labels["runstart.session"] == record.session_id]
    networks = [network for network in engine.networks if network.name == record.network]
    return len(tasks) == 2 and len(networks) == 1 and Path(record.folder).is_dir()


def is_gone(engine: ListedEngine, record: SessionRecord) -> bool:
    left = [one for one in [*engine.tasks, *engine.networks] if one.labels["runstart.session"] == record.session_id]
    return not left and not Path(record.folder).exists()


def test_a_session_whose_process_has_died_is_removed_and_its_record_ended(
    store: FileStore, engine: ListedEngine, dead_pid: int
) -> None:
    dead, living = session(store, engine, pid=dead_pid), session(store, engine)
    write_status(store, living.session_id, {}, NOW)
    (text,) = clean(engine, store)
    assert text == (
        f"Session {dead.session_id}: the process that ran it has died; removed the task count 0 of {dead.session_id}, "
        f"the task count 1 of {dead.session_id}, the network {dead.network} and the folder {dead.folder}."
    )
    assert is_gone(engine, dead)
    assert is_untouched(engine, living)
    ended = read_record(store, dead.session_id)
    assert (ended.state, ended.reason) == ("failed", "Removed by the clean-up: the process that ran it has died.")
    assert read_record(store, living.session_id) == living
    assert clean(engine, store) == []


def test_a_session_that_is_silent_for_too_long_hangs_and_is_removed(store: FileStore, engine: ListedEngine) -> None:
    hung, living = session(store, engine), session(store, engine)
    write_status(store, hung.session_id, {}, NOW - HUNG_S - 5)
    write_status(store, living.session_id, {}, NOW - HUNG_S + 5)
    (text,) = clean(engine, store)
    assert "it hung: there was no sign of life for 105 s" in text
    assert is_gone(engine, hung)
    assert is_untouched(engine, living)


def test_one_that_waits_for_room_here_does_not_hang(store: FileStore, engine: ListedEngine) -> None:
    waits = session(store, engine, state="queued")
    elsewhere = session(store, engine, state="queued", host="elsewhere")
    assert len(clean(engine, store)) == 1
    assert is_untouched(engine, waits)
    assert read_record(store, elsewhere.session_id).has_ended


def test_a_session_whose_run_has_ended_is_removed_unless_it_is_just_ending(
    store: FileStore, engine: ListedEngine
) -> None:
    over, ending, going = (session(store, engine, run_id=run_id) for run_id in ("over", "over", "going"))
    write_status(store, over.session_id, {}, NOW - ENDING_S - 1)
    write_status(store, ending.session_id, {}, NOW - ENDING_S + 5)
    write_status(store, going.session_id, {}, NOW - ENDING_S - 1)
    (text,) = clean(engine, store, lambda run_id: run_id == "over")
    assert f"{over.session_id}: its run has ended" in text
    assert is_gone(engine, over)
    assert is_untouched(engine, ending)
    assert is_untouched(engine, going)


def test_what_an_ended_session_has_left_is_removed_when_it_cannot_be_ending_any_more(
    store: FileStore, engine: ListedEngine, dead_pid: int
) -> None:
    just = session(store, engine, state="finished", ended_at=NOW - 1)
    long_ago = session(store, engine, state="failed", ended_at=NOW - ENDING_S - 1)
    died = session(store, engine, state="stopped", ended_at=NOW - 1, pid=dead_pid)
    assert len(clean(engine, store)) == 2
    assert is_untouched(engine, just)
    assert is_gone(engine, long_ago)
    assert is_gone(engine, died)
    assert read_record(store, long_ago.session_id).reason == ""


def test_what_has_lost_its_record_is_removed_when_it_is_old_and_its_process_gone(
    store: FileStore, engine: ListedEngine, dead_pid: int
) -> None:
    old = session(store, engine, pid=dead_pid, age_s=ORPHANED_AFTER_S + 5)
    young = session(store, engine, pid=dead_pid, age_s=ORPHANED_AFTER_S - 5)
    living = session(store, engine, age_s=ORPHANED_AFTER_S + 5)
    for record in (old, young, living):
        store.delete(session_key(record.session_id, "record.json"))
    (text,) = clean(engine, store)
    assert f"{old.session_id}: it has no record any more" in text
    assert is_gone(engine, old)
    assert is_untouched(engine, young)
    assert is_untouched(engine, living)


def test_tasks_without_record_and_folder_go_only_if_they_are_of_this_machine(
    store: FileStore, engine: ListedEngine
) -> None:
    here, there, unknown = new_session_id(), new_session_id(), new_session_id()
    store_id = store_identity(store)
    engine.add("here", session_labels(here, store_id), NOW - ORPHANED_AFTER_S - 5)
    elsewhere = {**session_labels(there, store_id), "runstart.host": "elsewhere"}
    engine.add("there", elsewhere, NOW - ORPHANED_AFTER_S - 5)
    engine.add("unknown", {"runstart.session": unknown}, NOW - ORPHANED_AFTER_S - 5)
    engine.make_network("alone", session_labels(here, store_id))
    assert len(clean(engine, store)) == 1
    assert [task.task.name for task in engine.tasks] == ["there", "unknown"]
    assert engine.networks == []


def test_on_a_cluster_what_has_no_record_is_removed_whichever_pod_has_made_it(
    store: FileStore, engine: ListedEngine
) -> None:
    engine.shares_machine = False
    store_id = store_identity(store)
    for name, age_s in (("old", ORPHANED_AFTER_S + 5), ("young", 5)):
        labels = {**session_labels(new_session_id(), store_id), "runstart.host": "a-pod-that-is-gone"}
        engine.add(name, labels, NOW - age_s)

    (text,) = clean(engine, store)

    assert "removed the task old" in text
    assert [task.task.name for task in engine.tasks] == ["young"]


@pytest.mark.parametrize("is_alive", [True, False])
def test_sessions_of_another_store_on_this_machine_are_left_to_its_own_clean_up(
    tmp_path: Path,
    store: FileStore,
    engine: ListedEngine,
    temporary: Path,
    dead_pid: int,
    monkeypatch: pytest.MonkeyPatch,
    is_alive: bool,
) -> None:
    theirs = FileStore(tmp_path / "another store")
    pid = os.getpid() if is_alive else dead_pid
    same_folder = session(theirs, engine, pid=pid, age_s=ORPHANED_AFTER_S + 5)
    (temporary / "another").mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(temporary / "another"))
        other_folder = session(theirs, engine, pid=pid, age_s=ORPHANED_AFTER_S + 5)
    for record in (same_folder, other_folder):
        write_status(theirs, record.session_id, {}, NOW)
    assert clean(engine, store) == []
    assert is_untouched(engine, same_folder)
    assert is_untouched(engine, other_folder)
    assert len(clean(engine, theirs)) == (0 if is_alive else 2)


def test_a_store_keeps_its_name_and_shares_it_with_no_other(tmp_path: Path, store: FileStore) -> None:
    name = store_identity(store)
    assert store_identity(FileStore(tmp_path / "store")) == name
    assert store_identity(FileStore(tmp_path / "another store")) != name
    store.put(STORE_KEY, b"../..")
    with pytest.raises(Alert, match="does not name the store"):
        store_identity(store)


def test_a_folder_that_cannot_be_marked_is_not_left_behind(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space"):
        make_session_folder(SessionRecord(new_session_id(), "probe", "x"), "0" * 16)
    assert list(temporary.iterdir()) == []


def test_a_damaged_record_keeps_a_living_session_and_gives_up_a_dead_one(
    store: FileStore, engine: ListedEngine, dead_pid: int
) -> None:
    living, dead = session(store, engine), session(store, engine, pid=dead_pid)
    for record in (living, dead):
        store.put(session_key(record.session_id, "record.json"), b"{")
    (text,) = clean(engine, store)
    assert f"{dead.session_id}: its record cannot be read" in text
    assert is_untouched(engine, living)
    assert is_gone(engine, dead)


def test_a_session_of_another_machine_is_judged_by_its_signs_of_life_and_its_run(
    store: FileStore, engine: ListedEngine, dead_pid: int
) -> None:
    living = session(store, engine, host="elsewhere", pid=dead_pid)
    silent = session(store, engine, host="elsewhere", pid=dead_pid)
    over = session(store, engine, host="elsewhere", pid=dead_pid, run_id="over")
    write_status(store, living.session_id, {}, NOW)
    write_status(store, over.session_id, {}, NOW - ENDING_S - 1)
    clean(engine, store, lambda run_id: run_id == "over")
    assert is_untouched(engine, living)
    assert is_gone(engine, silent)
    assert is_gone(engine, over)


def test_what_cannot_be_removed_is_told_and_tried_again(
    store: FileStore, engine: ListedEngine, dead_pid: int
) -> None:
    dead = session(store, engine, pid=dead_pid)
    name = f"count 1 of {dead.session_id}"
    engine.refuses.add(name)
    (text,) = clean(engine, store)
    assert f"the task {name} could not be removed: the engine is busy" in text
    assert not read_record(store, dead.session_id).has_ended
    engine.refuses.clear()
    (text,) = clean(engine, store)
    assert f"removed the task {name}." in text
    assert is_gone(engine, dead)
    assert read_record(store, dead.session_id).has_ended


def test_only_folders_with_our_name_and_our_mark_are_ever_removed(temporary: Path, dead_pid: int) -> None:
    record = SessionRecord(new_session_id(), "probe", "x", pid=dead_pid)
    mark = json.dumps({"session": record.session_id, "made_at": 1.0, "pid": dead_pid})
    others = [temporary / "rs-notes", temporary / f"rs-{'A' * 16}", temporary / f"rs-{'B' * 16}"]
    for folder in others[:2]:
        folder.mkdir()
    (others[0] / "runstart-session.json").write_text(mark)
    elsewhere = temporary / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "runstart-session.json").write_text(mark.replace(record.session_id, "B" * 16))
    others[2].symlink_to(elsewhere)
    ours = make_session_folder(record, "0" * 16)
    assert [(folder.path, folder.is_in_use) for folder in find_session_folders()] == [(ours, False)]
    for folder in [*others, ours]:
        remove_session_folder(folder)
    assert all(folder.exists() for folder in [*others, elsewhere])
    assert not ours.exists()


def test_a_session_folder_is_open_to_its_owner_only_and_short_enough_for_sockets(temporary: Path) -> None:
    record = SessionRecord(new_session_id(), "probe", "x")
    folder = make_session_folder(record, "0" * 16)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert len(folder.name) <= 20
    assert find_session_folders()[0].is_in_use


@pytest.mark.faults
def test_a_killed_session_leaves_nothing_running_and_its_record_is_ended(tmp_path: Path, store: FileStore) -> None:
    session_id, before = new_session_id(), set(descendants())
    child = subprocess.Popen(
        [sys.executable, "-c", SESSION, str(tmp_path), session_id],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    with child:
        key = session_key(session_id, "record.json")
        wait_until(lambda: store.head(key) and len(read_record(store, session_id).nodes) == 3, "three programs")
        launcher = SubprocessLauncher()
        assert clean_up(launcher, store, lambda _: False, HUNG_S, time.time()) == []
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        wait_until(lambda: not set(descendants()) - before, "the end of its programs")
        (text,) = clean_up(launcher, store, lambda _: False, HUNG_S, time.time())
    assert "the process that ran it has died" in text
    record = read_record(store, session_id)
    assert (record.state, record.host) == ("failed", socket.gethostname())
    assert all(node.finished_at is not None for node in record.nodes)
