from __future__ import annotations

import json

import pytest
from session_kit import Remembering

from runstart.sessions import gathering
from runstart.sessions.control_hub import Said
from runstart.sessions.doors import Sender
from runstart.sessions.gathering import MOST_DEAD_LETTERS, Gathering
from runstart.sessions.keeping import Keeper
from runstart.sessions.records import new_session_id, session_key
from runstart.storage import FileStore

SESSION = new_session_id()
WORK = Sender("work", 2, 0)


def letter(error: object, *blobs: bytes) -> Said:
    content = {"kind": "dead_letter", "error": error, "traceback": "Traceback"}
    return Said(WORK, "dead_letter", content, blobs)


def keys(store: FileStore, ending: str) -> list[str]:
    return [key for key in store.list(session_key(SESSION, "dead_letters") + "/") if key.endswith(ending)]


def test_first_hundred_dead_letters_are_kept_and_the_reporter_is_told_twice(file_store: FileStore) -> None:
    keeper, reporter = Keeper(file_store), Remembering()
    gathers = Gathering(SESSION, keeper, reporter)
    for number in range(250):
        gathers.dead_letter(letter(f"error {number}", b"{}", b"%d" % number))
    assert keeper.close(30) == 0

    assert len(keys(file_store, ".data")) == MOST_DEAD_LETTERS
    assert file_store.get(keys(file_store, ".data")[-1]).data == b"99"
    about = json.loads(file_store.get(keys(file_store, ".json")[7]).data)
    assert about == {"operator": "work", "replica": 2, "error": "error 7", "traceback": "Traceback", "bytes": 3}
    assert len(reporter.logs) == 2


def test_large_messages_of_dead_letters_are_left_out_their_errors_are_kept(
    file_store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gathering, "_MOST_BYTES", 25)
    keeper = Keeper(file_store)
    gathers = Gathering(SESSION, keeper, Remembering())
    for _ in range(4):
        gathers.dead_letter(letter("too large", b"", bytes(10)))
    keeper.close(30)

    assert len(keys(file_store, ".json")) == 4
    assert len(keys(file_store, ".data")) == 2


def test_report_without_its_parts_harms_nobody(file_store: FileStore) -> None:
    keeper, reporter = Keeper(file_store), Remembering()
    gathers = Gathering(SESSION, keeper, reporter)
    gathers.dead_letter(Said(WORK, "dead_letter", {"kind": "dead_letter"}, ()))
    gathers.published(Said(WORK, "publish", {"kind": "publish"}, ()))
    gathers.published(Said(WORK, "publish", {"kind": "publish", "media_type": 7, "keep": "x"}, (b"1",)))
    assert keeper.close(30) == 0

    (output,) = reporter.outputs
    assert (output.media_type, output.keep, output.number) == ("7", True, 0)
