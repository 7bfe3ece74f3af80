from __future__ import annotations

from pathlib import Path

import pytest
from facility_kit import WrappedStore
from hypothesis import given
from hypothesis import strategies as st

from runstart.live import finished
from runstart.live.finished import find_previous, note_finished
from runstart.storage import FileStore


@given(keys=st.lists(st.integers(0, 30).map(lambda n: f"2026{n:04d}_run"), max_size=12), asked=st.integers(0, 31))
def test_the_previous_run_is_the_newest_before(
    tmp_path_factory: pytest.TempPathFactory, keys: list[str], asked: int
) -> None:
    store, key = FileStore(tmp_path_factory.mktemp("store")), f"2026{asked:04d}_run"
    for noted in keys:
        note_finished(store, "SMALL", noted)
    assert find_previous(store, "SMALL", key) == max((k for k in keys if k < key), default=None)
    assert find_previous(store, "OTHER", key) is None


def test_the_oldest_drop_out_of_a_full_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finished, "MOST_LISTED", 3)
    store = FileStore(tmp_path)
    for n in range(5):
        note_finished(store, "SMALL", f"{n}")
    assert find_previous(store, "SMALL", "3") == "2"
    assert find_previous(store, "SMALL", "2") is None


def test_two_writers_at_once_lose_no_run(tmp_path: Path) -> None:
    inner = FileStore(tmp_path)
    note_finished(inner, "SMALL", "1")
    others = iter(["2"])

    def meanwhile(operation: str, _: str) -> None:
        if operation == "put_if_match" and (other := next(others, None)):
            note_finished(inner, "SMALL", other)

    note_finished(WrappedStore(inner, before=meanwhile), "SMALL", "3")
    assert find_previous(inner, "SMALL", "3") == "2"
    assert find_previous(inner, "SMALL", "4") == "3"
