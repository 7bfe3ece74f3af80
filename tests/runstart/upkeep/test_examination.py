from __future__ import annotations

import json
from dataclasses import replace

import pytest

from runstart.errors import Transient
from runstart.live.head import Head, Version, head_key
from runstart.metrics import live_status_key
from runstart.storage import FileStore, ObjectStore
from runstart.upkeep import Launches, Made, RunState, examine_runs, find_orphaned_status

PLACE = ("ALFA", "20261101T000000.000Z_run")
FOLDER = "live/ALFA/20261101T000000.000Z_run/results"
HEAD = Head(epoch=2, run_id="holder", released=True)
FIRST, SECOND = (Version(n, f"{FOLDER}/{n:06d}", "digest", {}, f"run-{n}", f"root-{n}") for n in (1, 2))


def put(store: ObjectStore, head: Head) -> None:
    store.put(head_key(*PLACE), head.to_json())


def put_result(store: ObjectStore, version: Version, shortcomings: tuple[str, ...] = ()) -> None:
    fields = {
        "folder": version.folder,
        "files": [],
        "thumbnails": {},
        "digest": version.digest,
        "ledger": {},
        "proton_charge_uah": 0.0,
        "stop_time_ns": 0,
        "stop_reason": "",
        "first_offsets": {},
        "end_offsets": {},
        "lost": {},
        "late_events": 0,
        "shortcomings": shortcomings,
        "code_version": f"{version.number}.0",
        "run_id": version.run_id,
    }
    store.put(f"{version.folder}/result.json", json.dumps(fields).encode())


def examine(store: ObjectStore, launches: Launches | None = None, seconds: float = 60.0) -> RunState:
    found = examine_runs(store, [PLACE], {} if launches is None else {PLACE: launches}, seconds=seconds)
    (state,) = found.states
    return state


def test_a_run_that_nobody_began_to_reduce_is_known_as_such(file_store: FileStore) -> None:
    assert examine(file_store) == RunState(*PLACE, launched=False)


def test_the_current_result_and_the_newest_are_told_apart(file_store: FileStore) -> None:
    put(file_store, replace(HEAD, current=FIRST, versions=(FIRST, SECOND)))
    put_result(file_store, FIRST)
    put_result(file_store, SECOND, ("Offsets were deleted.",))
    state = examine(file_store, Launches(nightly_run_ids=frozenset({"root-2"}), nights=1))
    assert state.current == Made("1.0", "", complete=True)
    assert state.latest == Made("2.0", "", complete=False, nightly=True), "a retry of a nightly run is one"
    assert state.nights == 1


def test_a_result_whose_files_were_removed_is_none(file_store: FileStore) -> None:
    put(file_store, replace(HEAD, current=FIRST, versions=(FIRST,)))
    assert examine(file_store).current is None


def test_a_run_that_dagster_has_not_finished_is_live_and_not_read(file_store: FileStore) -> None:
    file_store.put(head_key(*PLACE), b"not even read")
    assert examine(file_store, Launches(unfinished=True)).live


@pytest.mark.parametrize(
    ("status", "live"),
    [
        (b'{"dagster_run_id": "holder", "written_at": 900.0}', True),
        (b'{"dagster_run_id": "holder", "written_at": 600.0}', False),
        (b'{"dagster_run_id": "another", "written_at": 999.0}', False),
        (b"{}", False),
        (b"\xff", False),
        (None, False),
    ],
)
def test_a_lease_that_is_held_counts_while_its_holder_tells_of_itself(
    file_store: FileStore, status: bytes | None, live: bool
) -> None:
    put(file_store, replace(HEAD, released=False))
    if status is not None:
        file_store.put(live_status_key(*PLACE), status)
    found = examine_runs(file_store, [PLACE], {}, seconds=60.0, clock=lambda: 1000.0)
    assert found.states[0].live is live


def test_when_time_is_over_the_rest_is_counted(file_store: FileStore) -> None:
    runs = [("ALFA", f"20261101T00000{second}.000Z_run") for second in range(10)]
    found = examine_runs(file_store, runs, {}, seconds=-1.0)
    assert (found.states, found.skipped) == ([], 10)


@pytest.mark.parametrize("damage", [b"", b"\xff", b"[]", b"{}", b'{"epoch": "x"}', b'{"current": {}}'])
def test_a_damaged_head_or_result_is_counted_and_keeps_no_other_run_from_its_night(
    file_store: FileStore, damage: bytes
) -> None:
    put(file_store, replace(HEAD, current=FIRST, versions=(FIRST,)))
    put_result(file_store, FIRST)
    damaged = [("ALFA", f"20261102T00000{n}.000Z_run") for n in range(2)]
    for place in damaged:
        file_store.put(head_key(*place), replace(HEAD, current=SECOND, versions=(SECOND,)).to_json())
    if damage != b"{}":
        file_store.put(head_key(*damaged[1]), damage)
    file_store.put(f"{SECOND.folder}/result.json", damage)
    found = examine_runs(file_store, [PLACE, *damaged], {}, seconds=60.0)
    assert [state.partition_key for state in found.states] == [PLACE[1]]
    assert (found.skipped, found.unreadable) == (0, 2)


def test_a_store_that_is_away_is_told(file_store: FileStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise Transient("The store is away.")

    monkeypatch.setattr(FileStore, "get", refuse)
    with pytest.raises(Transient, match="away"):
        examine(file_store)


def test_orphans_are_what_is_old_or_cannot_be_read(file_store: FileStore) -> None:
    for name, data in {
        "old": b'{"written_at": 100}',
        "new": b'{"written_at": 950}',
        "none": b"{}",
        "list": b"[]",
        "torn": b'{"writt',
        "bytes": b"\xff",
    }.items():
        file_store.put(live_status_key("ALFA", name), data)
    found = find_orphaned_status(file_store, 100.0, now=1000.0)
    assert found == [live_status_key("ALFA", name) for name in ("bytes", "list", "none", "old", "torn")]
