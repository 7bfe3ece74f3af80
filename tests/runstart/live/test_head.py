from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from facility_kit import WrappedStore, failing, wait_until
from hypothesis import given
from hypothesis import strategies as st

from runstart.errors import Alert, Transient
from runstart.live import Head, LeaseLost, read_head
from runstart.live.head import Frozen, Lease, Version, acquire_lease, head_key
from runstart.storage import FileStore, ObjectStore

KEY = head_key("SMALL", "run")
FROZEN = Frozen(5, "RunStop", {0: 1, 1: 0}, {0: 9, 1: 0}, 7)
VERSION = Version(1, "folder", "digest", {0: [(1, 9)], 1: []}, "run", "root")


class StillHeld(Exception):
    """Raised instead of waiting."""


def acquire(
    store: ObjectStore, root: str, seconds: float = 30.0, sleep: Callable[[float], None] = time.sleep
) -> Lease:
    return acquire_lease(
        store, "SMALL", "run", run_id=f"{root}-run", root_run_id=root, lease_seconds=seconds, sleep=sleep
    )


def refuse_to_wait(_: float) -> None:
    raise StillHeld


def head_of(store: ObjectStore) -> Head:
    return read_head(store, "SMALL", "run")


def test_a_head_survives_its_text() -> None:
    head = Head(
        3, "run", "root", 12, 5.0, False, ("a", "b"), FROZEN, VERSION, (VERSION, replace(VERSION, number=2))
    )
    assert Head.from_json(head.to_json()) == head


def test_a_head_with_fewer_fields_has_the_values_of_an_empty_one() -> None:
    assert Head.from_json(b"{}") == Head()
    assert Head.from_json(b'{"epoch": 3, "snapshots": ["a"]}') == Head(3, snapshots=("a",))


def test_a_head_with_fields_of_a_newer_version_is_read_without_them_and_names_them() -> None:
    fields = json.loads(Head(3, frozen=FROZEN, current=VERSION, versions=(VERSION,)).to_json())
    newer = fields | {"colour": "red", "unknown": ["x"]}
    for part in (newer["frozen"], newer["current"], *newer["versions"]):
        part["shape"] = 1
    head = Head.from_json(json.dumps(newer).encode())
    assert head == Head.from_json(json.dumps(fields).encode())
    assert head.unknown == ("colour", "unknown", "frozen.shape", "version.shape")
    assert b"colour" not in head.to_json()


def test_a_head_that_a_newer_version_has_written_is_never_replaced(file_store: FileStore) -> None:
    file_store.put(KEY, json.dumps(json.loads(Head().to_json()) | {"colour": "red"}).encode())
    with pytest.raises(Alert, match=r"newer version of Runstart has reduced run of SMALL.*colour"):
        acquire(file_store, "root")
    assert head_of(file_store) == Head()


def test_a_head_without_what_every_version_writes_is_an_alert() -> None:
    fields = json.loads(Head(3, frozen=FROZEN).to_json())
    del fields["frozen"]["end_offsets"]
    with pytest.raises(Alert, match=r"no frozen\.end_offsets"):
        Head.from_json(json.dumps(fields).encode())


def test_a_run_that_was_never_reduced_has_an_empty_head(file_store: FileStore) -> None:
    assert head_of(file_store) == Head()


def test_of_launches_at_once_exactly_one_gets_the_lease(file_store: FileStore) -> None:
    barrier = threading.Barrier(6)

    def launch(number: int) -> Lease | None:
        barrier.wait()
        try:
            return acquire(file_store, f"root{number}", sleep=refuse_to_wait)
        except StillHeld:
            return None

    with ThreadPoolExecutor(6) as pool:
        leases = [lease for lease in pool.map(launch, range(6)) if lease is not None]
    assert len(leases) == 1
    assert head_of(file_store).root_run_id == leases[0].head.root_run_id
    assert head_of(file_store).epoch == leases[0].head.epoch == 1


def test_a_holder_that_renews_its_lease_keeps_it(file_store: FileStore) -> None:
    holder = acquire(file_store, "one", seconds=0.3)
    holder.start_beating()
    with pytest.raises(Alert, match="one-run is reducing"):
        acquire(file_store, "two")
    holder.check()
    holder.release()


def test_a_silent_holder_loses_the_lease_after_its_duration(file_store: FileStore) -> None:
    holder = acquire(file_store, "one", seconds=0.2)
    slept: list[float] = []
    taken = acquire(file_store, "two", sleep=slept.append)
    assert (taken.head.epoch, slept) == (2, [0.2])
    with pytest.raises(LeaseLost):
        holder.commit()


def test_a_released_lease_is_free_at_once(file_store: FileStore) -> None:
    acquire(file_store, "one").release()
    assert acquire(file_store, "two", sleep=refuse_to_wait).head.epoch == 2


def test_a_retry_takes_over_at_once_and_keeps_snapshots_and_frozen_offsets(file_store: FileStore) -> None:
    acquire(file_store, "root").commit(snapshots=("a", "b"), frozen=FROZEN)
    retry = acquire(file_store, "root", sleep=refuse_to_wait)
    assert (retry.head.epoch, retry.head.snapshots, retry.head.frozen) == (2, ("a", "b"), FROZEN)


def test_another_launch_starts_clean_but_keeps_the_frozen_offsets_of_a_result(file_store: FileStore) -> None:
    lease = acquire(file_store, "one")
    lease.commit(snapshots=("a",), frozen=FROZEN)
    lease.release()
    second = acquire(file_store, "two")
    assert (second.head.snapshots, second.head.frozen) == ((), None)
    second.commit(frozen=FROZEN, current=VERSION, versions=(VERSION,), snapshots=("b",))
    second.release()
    third = acquire(file_store, "three")
    assert (third.head.snapshots, third.head.frozen, third.head.current) == ((), FROZEN, VERSION)


def test_a_fenced_writer_can_publish_nothing(file_store: FileStore) -> None:
    fenced = acquire(file_store, "root")
    winner = acquire(file_store, "root")
    before = file_store.get(KEY)
    for changes in ({"snapshots": ("x",)}, {"current": VERSION}, {}):
        with pytest.raises(LeaseLost):
            fenced.commit(**changes)
    fenced.release()
    assert file_store.get(KEY) == before
    winner.commit(snapshots=("y",))
    assert head_of(file_store).snapshots == ("y",)


def test_a_fenced_run_hears_of_it_from_its_heartbeat(file_store: FileStore) -> None:
    fenced = acquire(file_store, "root", seconds=0.05)
    fenced.start_beating()
    acquire(file_store, "root")

    def is_lost() -> bool:
        try:
            fenced.check()
        except LeaseLost:
            return True
        return False

    wait_until(is_lost)
    fenced.release()


def test_a_put_whose_answer_was_lost_is_not_taken_for_another_run(file_store: FileStore) -> None:
    store = WrappedStore(file_store)
    lease = acquire(store, "one")
    store.after = failing(1, "put_if_match")
    with pytest.raises(Transient):
        lease.commit(snapshots=("a",))
    assert head_of(file_store).snapshots == ("a",)
    lease.commit(snapshots=("a", "b"))
    assert head_of(file_store).snapshots == ("a", "b")


def test_a_put_whose_answer_was_lost_before_another_run_took_over_stays_fenced(file_store: FileStore) -> None:
    store = WrappedStore(file_store)
    lease = acquire(store, "root")
    store.after = failing(1, "put_if_match")
    with pytest.raises(Transient):
        lease.commit(snapshots=("a",))
    acquire(file_store, "root").commit(snapshots=("winner",))
    with pytest.raises(LeaseLost):
        lease.commit(snapshots=("b",))
    assert head_of(file_store).snapshots == ("winner",)


@pytest.mark.parametrize("lost", [1, 2, 3])
def test_a_lease_whose_granting_was_lost_is_granted_when_asked_again(file_store: FileStore, lost: int) -> None:
    store = WrappedStore(file_store, after=failing(lost, "put_if_match", "put_if_absent"))
    for _ in range(lost):
        with pytest.raises(Transient):
            acquire(store, "root", sleep=refuse_to_wait)
    acquire(store, "root", sleep=refuse_to_wait).commit(snapshots=("a",))
    assert head_of(file_store).snapshots == ("a",)


def test_heartbeats_go_on_after_an_outage(file_store: FileStore) -> None:
    store = WrappedStore(file_store)
    lease = acquire(store, "one", seconds=0.06)
    store.before = failing(3, "put_if_match")
    lease.start_beating()
    beat = head_of(file_store).beat
    wait_until(lambda: head_of(file_store).beat > beat + 2)
    lease.check()
    lease.release()
    assert head_of(file_store).released


def test_what_stops_the_heartbeat_reaches_the_run(file_store: FileStore) -> None:
    def break_down(operation: str, _: str) -> None:
        if operation == "put_if_match":
            raise Alert("The bucket is gone.", "")

    store = WrappedStore(file_store)
    lease = acquire(store, "one", seconds=0.05)
    store.before = break_down
    lease.start_beating()

    def is_told() -> bool:
        try:
            lease.check()
        except Alert:
            return True
        return False

    wait_until(is_told)


def test_a_removed_head_is_a_lost_lease(file_store: FileStore) -> None:
    lease = acquire(file_store, "one")
    file_store.delete(KEY)
    with pytest.raises(LeaseLost, match="removed"):
        lease.commit()


def test_commits_of_several_threads_all_hold(file_store: FileStore) -> None:
    lease = acquire(file_store, "one", seconds=0.02)
    lease.start_beating()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: lease.commit(versions=(replace(VERSION, number=n),)), range(40)))
    lease.commit(snapshots=("last",))
    lease.release()
    head = head_of(file_store)
    assert (head.snapshots, head.released, len(head.versions)) == (("last",), True, 1)
    assert head.beat >= 42


ranges = st.dictionaries(
    st.integers(0, 2), st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), max_size=2), max_size=3
)


@given(st.dictionaries(st.integers(0, 2), st.tuples(st.integers(0, 20), st.integers(0, 20)), max_size=3), ranges)
def test_a_version_covers_another_if_it_read_every_offset_of_it(mine, theirs) -> None:
    one = replace(VERSION, read={partition: [span] for partition, span in mine.items()})
    other = replace(VERSION, read=theirs)
    read = {(p, n) for p, (first, end) in mine.items() for n in range(first, end)}
    wanted = {(p, n) for p, spans in theirs.items() for first, end in spans for n in range(first, end)}
    assert one.covers(other) == (wanted <= read)
