from __future__ import annotations

import tempfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runstart.errors import Alert
from runstart.places import Cursor, Seen
from runstart.places import seen as seen_files
from runstart.storage import FileStore

FOLDER = "arrivals/OBS"


def look(store: FileStore, cursor: Cursor, **versions: str) -> Cursor:
    """Take some files as handed out."""
    seen = Seen(store, FOLDER, cursor)
    for name, version in versions.items():
        seen.add(name, version)
    return seen.save()


def test_what_was_handed_out_is_known_by_the_cursor_alone(file_store: FileStore) -> None:
    first = look(file_store, Cursor(), a="1", b="1")
    second = look(file_store, first, a="2")
    old, new = Seen(file_store, FOLDER, first), Seen(file_store, FOLDER, second)
    assert (old.version("a"), new.version("a"), new.version("b"), new.version("c")) == ("1", "2", "1", None)


def test_a_cursor_is_text_and_back() -> None:
    cursor = Cursor("a" * 64, "", ("b" * 64,))
    assert Cursor.from_text(cursor.to_text()) == cursor
    assert Cursor.from_text("") == Cursor.from_text(None) == Cursor()


@pytest.mark.parametrize("text", ["x", "{}", "[]", '{"format": 2, "seen": ["", ""], "replaced": []}', '"a"'])
def test_a_damaged_cursor_is_an_alert(text: str) -> None:
    with pytest.raises(Alert, match="Clear the sensor's cursor"):
        Cursor.from_text(text)


@pytest.mark.parametrize("data", [None, b"x", b"\x78\x9c"])
def test_an_object_of_the_cursor_that_is_gone_or_damaged_is_an_alert(
    file_store: FileStore, data: bytes | None
) -> None:
    cursor = look(file_store, Cursor(), a="1")
    (key,) = file_store.list(FOLDER)
    file_store.delete(key)
    if data is not None:
        file_store.put(key, data)
    with pytest.raises(Alert, match="Clear the sensor's cursor"):
        Seen(file_store, FOLDER, cursor)


def test_places_of_one_store_are_kept_apart(file_store: FileStore) -> None:
    cursor = look(file_store, Cursor(), a="1")
    assert look(file_store, cursor) == cursor
    with pytest.raises(Alert):
        Seen(file_store, "arrivals/OTHER", cursor)


@given(st.lists(st.tuples(st.dictionaries(st.sampled_from("abcdefg"), st.sampled_from("123")), st.booleans())))
@settings(max_examples=40, deadline=None)
def test_nothing_is_lost_or_doubled_when_cursors_are_not_kept_and_few_objects_remain(
    looks: list[tuple[dict[str, str], bool]],
) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(seen_files, "SMALL", 2)
        store, cursor, known, lost = FileStore(folder), Cursor(), dict[str, str](), 0
        for versions, is_kept in looks:
            newer = look(store, cursor, **versions)
            if is_kept:
                cursor, known = newer, known | versions
            lost += not is_kept
            seen = Seen(store, FOLDER, cursor)
            assert {name: seen.version(name) for name in known} == known
            assert len(cursor.to_text()) < 400
        assert len(store.list(FOLDER)) <= 4 + 2 * lost
