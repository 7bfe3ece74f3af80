from __future__ import annotations

import json
import threading

import numpy as np
import pytest
from facility_kit import START_NS, WrappedStore, failing, raw, small_instrument

from runstart.errors import Alert
from runstart.events import IsisData, encode_ev42
from runstart.live import LeaseLost, read_head
from runstart.live.accumulation import Accumulation
from runstart.live.head import Lease, acquire_lease
from runstart.live.snapshot import DamagedSnapshot, SnapshotWriter, load_snapshot, pack_snapshot, unpack_snapshot
from runstart.storage import FileStore, ObjectStore

INSTRUMENT = small_instrument()
FOLDER = "live/SMALL/run"


def counted(messages: int = 5) -> Accumulation:
    accumulation = Accumulation(INSTRUMENT, START_NS)
    accumulation.begin({0: 0, 3: 7})
    for number in range(messages):
        payload = encode_ev42(
            "source\0µ",
            number * 2,
            START_NS + number,
            [5, 6],
            detector_id=[10, 11],
            facility=IsisData(0, proton_charge=1),
        )
        accumulation.add(raw(payload, offset=number), None)
    accumulation.lose(3, 7, 9)
    return accumulation


def lease_on(store: ObjectStore) -> Lease:
    return acquire_lease(store, "SMALL", "run", run_id="run", root_run_id="root")


def same(one: Accumulation, other: Accumulation) -> bool:
    (plain, arrays), (plain_too, arrays_too) = one.state(), other.state()
    return (
        json.dumps(plain) == json.dumps(plain_too)
        and arrays.keys() == arrays_too.keys()
        and all(np.array_equal(arrays[name], arrays_too[name]) for name in arrays)
    )


def test_a_snapshot_holds_everything() -> None:
    accumulation = counted()
    assert same(unpack_snapshot(pack_snapshot(*accumulation.state()), INSTRUMENT), accumulation)


def test_an_empty_run_has_a_snapshot_too() -> None:
    empty = Accumulation(INSTRUMENT, START_NS, 3)
    assert same(unpack_snapshot(pack_snapshot(*empty.state()), INSTRUMENT), empty)


def test_a_snapshot_of_other_views_is_an_alert() -> None:
    data = pack_snapshot(*counted().state())
    with pytest.raises(Alert):
        unpack_snapshot(data, small_instrument(views=("tof", "pixel")))


def test_a_damaged_snapshot_is_known_as_such() -> None:
    data = pack_snapshot(*counted().state())
    middle = bytearray(data)
    middle[len(data) // 2] ^= 0xFF
    for damaged in (b"", data[:100], data[: len(data) // 2], bytes(middle), b"PK" + data[2:200]):
        with pytest.raises(DamagedSnapshot):
            unpack_snapshot(damaged, INSTRUMENT)


def test_a_snapshot_that_is_gone_is_known_as_such(file_store: FileStore) -> None:
    with pytest.raises(DamagedSnapshot, match="gone"):
        load_snapshot(file_store, f"{FOLDER}/snapshots/x.npz", INSTRUMENT)


def test_the_last_two_snapshots_are_kept_and_named_by_the_head(file_store: FileStore) -> None:
    writer = SnapshotWriter(file_store, FOLDER, lease_on(file_store))
    for messages in range(5):
        assert writer.start(counted(messages))
        writer.finish()
    head = read_head(file_store, "SMALL", "run")
    assert list(head.snapshots) == file_store.list(f"{FOLDER}/snapshots/")
    assert [len(load_snapshot(file_store, key, INSTRUMENT).memory.arrays()["keys"]) for key in head.snapshots] == [
        3,
        4,
    ]
    assert writer.written == 5
    assert writer.size == len(file_store.get(head.snapshots[-1]).data)
    assert writer.written_at is not None


def test_what_is_added_while_a_snapshot_is_written_is_not_in_it(file_store: FileStore) -> None:
    let_go = threading.Event()
    store = WrappedStore(file_store)
    lease = lease_on(store)
    store.before = lambda operation, _: let_go.wait(30) if operation == "put" else None
    writer, accumulation = SnapshotWriter(store, FOLDER, lease), counted(3)
    assert writer.start(accumulation)
    accumulation.add(raw(encode_ev42("b", 0, START_NS, [5]), offset=3), None)
    assert not writer.start(accumulation)
    let_go.set()
    writer.finish()
    (key,) = read_head(file_store, "SMALL", "run").snapshots
    assert same(load_snapshot(file_store, key, INSTRUMENT), counted(3))


@pytest.mark.parametrize("operation", ["put", "put_if_match"])
def test_a_store_that_refuses_costs_one_snapshot_and_leaves_the_last_good_one(
    file_store: FileStore, operation: str
) -> None:
    store = WrappedStore(file_store)
    writer = SnapshotWriter(store, FOLDER, lease_on(store))
    writer.start(counted(1))
    writer.finish()
    good = read_head(file_store, "SMALL", "run").snapshots
    store.before = failing(1, operation)
    writer.start(counted(2))
    writer.finish()
    assert writer.failure is not None
    assert read_head(file_store, "SMALL", "run").snapshots == good
    writer.start(counted(3))
    writer.finish()
    assert writer.failure is None
    assert read_head(file_store, "SMALL", "run").snapshots[0] == good[0]


def test_a_head_whose_put_lost_its_answer_still_names_whole_snapshots(file_store: FileStore) -> None:
    store = WrappedStore(file_store)
    writer = SnapshotWriter(store, FOLDER, lease_on(store))
    store.after = failing(1, "put_if_match")
    for messages in (1, 2, 3):
        writer.start(counted(messages))
        writer.finish()
        keys = read_head(file_store, "SMALL", "run").snapshots
        newest = load_snapshot(file_store, keys[-1], INSTRUMENT)
        assert newest.ledger().messages_read == messages
    assert len(set(keys)) == len(keys) == 2


def test_a_snapshot_that_cannot_be_deleted_is_no_failure(file_store: FileStore) -> None:
    store = WrappedStore(file_store, before=failing(9, "delete"))
    writer = SnapshotWriter(store, FOLDER, lease_on(store))
    for messages in range(4):
        writer.start(counted(messages))
        writer.finish()
    assert (writer.written, writer.failure) == (4, None)


def test_a_fenced_writer_publishes_no_snapshot_and_says_so(file_store: FileStore) -> None:
    writer = SnapshotWriter(file_store, FOLDER, lease_on(file_store))
    winner = lease_on(file_store)
    writer.start(counted())
    with pytest.raises(LeaseLost):
        writer.finish()
    assert read_head(file_store, "SMALL", "run").snapshots == ()
    winner.check()


def test_a_bug_in_the_writer_reaches_the_run(file_store: FileStore) -> None:
    def break_down(operation: str, _: str) -> None:
        if operation == "put":
            raise ZeroDivisionError

    store = WrappedStore(file_store)
    writer = SnapshotWriter(store, FOLDER, lease_on(store))
    store.before = break_down
    writer.start(counted())
    with pytest.raises(ZeroDivisionError):
        writer.finish()
