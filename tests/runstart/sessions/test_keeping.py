from __future__ import annotations

import threading
from pathlib import Path

from waiting import wait_until

from runstart.errors import Transient
from runstart.sessions.keeping import Keeper
from runstart.storage import FileStore


class _Slow(FileStore):
    """A store that takes nothing until it is let."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.go, self.entered = threading.Event(), threading.Event()
        self.puts: list[str] = []
        self.refusals = 0

    def put(self, key: str, data: bytes) -> str:
        self.entered.set()
        assert self.go.wait(30)
        if self.refusals:
            self.refusals -= 1
            raise Transient("It does not answer.")
        self.puts.append(key)
        return super().put(key, data)


class _Full(FileStore):
    """A store that refuses a number of puts."""

    def __init__(self, root: Path, refusals: int) -> None:
        super().__init__(root)
        self.refusals = refusals

    def put(self, key: str, data: bytes) -> str:
        if self.refusals:
            self.refusals -= 1
            raise Transient("The disk of the object store is full.")
        return super().put(key, data)


def test_all_that_was_put_is_written_by_the_time_it_is_closed(file_store: FileStore) -> None:
    keeper = Keeper(file_store)
    for number in range(20):
        keeper.put(f"a/{number:02d}", b"%d" % number)

    assert keeper.close(30) == 0
    assert [file_store.get(key).data for key in file_store.list("a/")] == [b"%d" % number for number in range(20)]


def test_of_one_key_only_the_newest_is_written_by_a_slow_store(tmp_path: Path) -> None:
    store = _Slow(tmp_path)
    keeper = Keeper(store)
    keeper.put("first", b"")
    assert store.entered.wait(30)
    for number in range(50):
        keeper.put("status", b"%d" % number)
    store.go.set()

    assert keeper.close(30) == 0
    assert store.get("status").data == b"49"
    assert store.puts.count("status") == 1


def test_store_that_is_full_for_a_while_gets_everything_and_is_told_of_once(tmp_path: Path) -> None:
    store = _Full(tmp_path, refusals=2)
    keeper = Keeper(store, again_s=0.01)
    keeper.put("a", b"1")
    wait_until(lambda: store.head("a"), "the object")

    assert keeper.close(30) == 0
    assert store.get("a").data == b"1"
    assert keeper.troubles() == ["The disk of the object store is full."]


def test_when_it_closes_only_what_is_urgent_is_tried_again(tmp_path: Path) -> None:
    store = _Slow(tmp_path)
    store.refusals = 3
    keeper = Keeper(store, again_s=0.01)
    keeper.put("status", b"1")
    assert store.entered.wait(30)
    keeper.put("picture", b"2")
    keeper.put("record", b"3", is_urgent=True)
    closing = threading.Thread(target=keeper.close, args=(30,))
    closing.start()
    wait_until(lambda: keeper._is_closing, "the closing")
    store.go.set()
    closing.join()

    assert store.list() == ["record"]


def test_store_that_stays_full_costs_the_objects_and_they_are_counted(tmp_path: Path) -> None:
    keeper = Keeper(_Full(tmp_path, refusals=1000), again_s=0.01)
    keeper.put("a", b"1")
    keeper.put("b", b"2")

    assert keeper.close(30) == 2
    assert "full" in keeper.troubles()[0]


def test_store_that_hangs_is_left_after_its_time_and_what_it_had_is_counted(tmp_path: Path) -> None:
    store = _Slow(tmp_path)
    keeper = Keeper(store)
    keeper.put("a", b"1")
    keeper.put("b", b"2")

    assert keeper.close(0.2) == 2
    store.go.set()
    wait_until(lambda: store.puts == ["a"], "the put that hung")


def test_what_finds_no_room_is_refused_and_counted_but_urgent_objects_always_find_some(tmp_path: Path) -> None:
    store = _Slow(tmp_path)
    keeper = Keeper(store, most_bytes_waiting=10)
    keeper.put("held", b"")
    assert store.entered.wait(30)

    assert keeper.put("large", bytes(10))
    assert not keeper.put("larger", bytes(1))
    assert keeper.put("record", bytes(5), is_urgent=True)
    store.go.set()
    assert keeper.close(30) == 1
    assert "too slow" in keeper.troubles()[0]
    assert store.puts == ["held", "record", "large"]
