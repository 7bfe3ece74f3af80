from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from operation_toys import toy

from runstart.errors import Alert
from runstart.operation_kit import Entry, Workplace, execute, find_key, list_kept, load_entry, remove
from runstart.storage import ObjectStore


def compute(place: Workplace, **inputs: Any) -> Entry:
    return execute(toy, {"input_files": ["night/a.fits"], **inputs}, place).entry


def test_all_of_a_key_is_removed_and_nothing_else(place: Workplace) -> None:
    one, other = compute(place), compute(place, level=2)
    assert remove(place.store, one.key) == 6
    assert load_entry(place.store, one.key) is None
    assert load_entry(place.store, other.key) == other
    assert all(name.startswith(f"operations/{other.key}/") for name in place.store.list())
    assert remove(place.store, one.key) == 0


def test_the_entry_goes_first_and_the_claim_last(place: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = compute(place)
    removed: list[str] = []
    delete = type(place.store).delete

    def note(store: ObjectStore, key: str) -> None:
        removed.append(key.rpartition("/")[2])
        delete(store, key)

    monkeypatch.setattr(type(place.store), "delete", note)
    remove(place.store, entry.key)
    assert (removed[0], removed[-1]) == ("entry.json", "claim.json")


@pytest.mark.parametrize("text", ["{key}", "{key}-1", "{start}"])
def test_a_key_is_found_by_itself_its_outputs_and_its_beginning(place: Workplace, text: str) -> None:
    key = compute(place).key
    assert find_key(place.store, text.format(key=key, start=key[:6])) == key


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is no key"),
        ("abc", "is no key"),
        ("../../etc", "is no key"),
        ("ABCDEF", "is no key"),
        ("123456", "No key"),
        ("abcdef", "2 keys begin"),
    ],
)
def test_a_text_that_names_no_key_or_several_is_an_alert(file_store: ObjectStore, text: str, message: str) -> None:
    for last in "01":
        file_store.put(f"operations/{'abcdef' + '0' * 57 + last}/entry.json", b"")
    with pytest.raises(Alert, match=message):
        find_key(file_store, text)


def test_a_key_is_as_old_as_its_newest_object(place: Workplace) -> None:
    entry = compute(place)
    (kept,) = list_kept(place.store)
    assert kept.key == entry.key
    assert kept.at is not None
    assert datetime.now(UTC) - kept.at < timedelta(minutes=5)
    claim = f"operations/{entry.key}/claim.json"
    fields = json.loads(place.store.get(claim).data)
    place.store.put(claim, json.dumps({**fields, "at": "2090-01-01T00:00:00+00:00"}).encode())
    assert next(list_kept(place.store)).at == datetime(2090, 1, 1, tzinfo=UTC)


def test_what_is_half_made_is_listed_by_its_claim_and_what_is_damaged_without_an_age(place: Workplace) -> None:
    with pytest.raises(ZeroDivisionError):
        compute(place, mode="crash")
    (half,) = list_kept(place.store)
    assert half.at is not None
    for name in ("entry.json", "claim.json"):
        place.store.put(f"operations/{half.key}/{name}", b"{")
    assert next(list_kept(place.store)).at is None
