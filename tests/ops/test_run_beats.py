"""The beat of a step: it moves while the step works, and is gone afterwards."""

from __future__ import annotations

import pytest
from waiting import wait_until

from ops import run_beats
from ops.run_beats import beating, read_beat
from runstart.errors import Transient
from runstart.storage import FileStore, ObjectStore

RUN = "3b9f6a52-7f2c-4d8e-9a8f-0c1d2e3f4a5b"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_beats, "INTERVAL_SECONDS", 0.01)


def test_a_beat_moves_while_the_block_works_and_is_gone_afterwards(store: ObjectStore) -> None:
    with beating(store, RUN):
        first = wait_until(lambda: read_beat(store, RUN), "a beat")
        wait_until(lambda: read_beat(store, RUN) != first, "another beat")
    assert read_beat(store, RUN) is None
    assert store.list(run_beats.FOLDER) == []


def test_a_block_that_fails_leaves_no_beat(store: ObjectStore) -> None:
    with pytest.raises(ZeroDivisionError), beating(store, RUN):
        raise ZeroDivisionError
    assert read_beat(store, RUN) is None


def test_beats_of_attempts_differ(store: ObjectStore) -> None:
    seen = set()
    for _ in range(3):
        with beating(store, RUN):
            seen.add(wait_until(lambda: read_beat(store, RUN), "a beat"))
    assert len(seen) == 3


def test_a_store_that_is_away_for_a_while_ends_nothing(
    file_store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    put, away = FileStore.put, [True]

    def refuse(self: FileStore, key: str, data: bytes) -> str:
        if away:
            raise Transient("The store is away.")
        return put(self, key, data)

    monkeypatch.setattr(FileStore, "put", refuse)
    with beating(file_store, RUN):
        assert read_beat(file_store, RUN) is None
        away.clear()
        wait_until(lambda: read_beat(file_store, RUN), "a beat once the store is back")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"beat": null}'], ids=repr)
def test_a_damaged_beat_is_none(store: ObjectStore, content: bytes) -> None:
    store.put(f"{run_beats.FOLDER}/{RUN}.json", content)
    assert read_beat(store, RUN) is None
