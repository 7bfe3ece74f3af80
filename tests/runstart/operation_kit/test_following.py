from __future__ import annotations

import pytest

from runstart.errors import Alert, Transient
from runstart.operation_kit.following import Note, following, list_notes, read_note
from runstart.storage import FileStore

BUG = "The operation ended by an error of its own; the log of its run says more."
RUN = "0b3c7f0e-6b0f-4a51-8d34-0d2f4c3f9a11"


def noted(store: FileStore) -> Note:
    note = read_note(store, RUN)
    assert note is not None
    return note


def test_a_run_is_noted_from_its_beginning_to_its_key(file_store: FileStore) -> None:
    assert read_note(file_store, RUN) is None
    with following(file_store, RUN) as follower:
        assert noted(file_store).state == "IN_PROGRESS"
        follower.complete("ab" * 32)
    note = noted(file_store)
    assert (note.state, note.progress, note.key) == ("COMPLETED", 1.0, "ab" * 32)


@pytest.mark.parametrize(
    ("error", "state", "text"),
    [
        (Alert("There is no file.", "Name one."), "FAILED", "There is no file. Name one."),
        (Transient("the archive is away"), "IN_PROGRESS", "Tried again soon: the archive is away"),
        (
            ZeroDivisionError("secret"),
            "FAILED",
            "The operation ended by an error of its own; the log of its run says more.",
        ),
        (
            KeyboardInterrupt(),
            "FAILED",
            "The operation ended by an error of its own; the log of its run says more.",
        ),
    ],
)
def test_how_a_run_ends_is_noted_and_raised(
    file_store: FileStore, error: BaseException, state: str, text: str
) -> None:
    with pytest.raises(type(error)), following(file_store, RUN):
        raise error
    assert (noted(file_store).state, noted(file_store).message) == (state, text)


def test_a_store_that_is_away_costs_no_computation() -> None:
    class Away(FileStore):
        def put(self, key: str, data: bytes) -> str:
            raise Transient("away")

    with following(Away.__new__(Away), RUN) as follower:
        follower.progress(0.5, "half")


def test_a_run_that_nobody_follows_is_not_noted(file_store: FileStore) -> None:
    with following(None, RUN) as follower:
        follower.progress(0.5, "half")
    assert file_store.list() == []


def test_progress_is_noted_about_once_a_second(file_store: FileStore, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("runstart.operation_kit.following.time.monotonic", lambda: now[0])
    with following(file_store, RUN) as follower:
        follower.progress(0.2, "too soon")
        assert noted(file_store).message == "Begun"
        now[0] += 1.1
        follower.progress(7.0, "now")
        assert (noted(file_store).progress, noted(file_store).message) == (1.0, "now")


def test_notes_are_listed_by_their_run_and_a_damaged_one_is_none(file_store: FileStore) -> None:
    with following(file_store, RUN):
        pass
    assert list_notes(file_store) == {RUN: f"operation_runs/{RUN}.json"}
    file_store.put(f"operation_runs/{RUN}.json", b"[]")
    assert read_note(file_store, RUN) is None
