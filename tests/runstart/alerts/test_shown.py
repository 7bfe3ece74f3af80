from __future__ import annotations

from runstart.alerts import Condition, Policy, Sighting, judge, read_known, show_known
from runstart.storage import FileStore

LAG = Condition("lag", "SANS", "run1", "SANS run1: counting is 90 s behind.", 5.0)


def test_what_people_know_of_is_read_as_it_was_shown(file_store: FileStore) -> None:
    memory, _ = judge({}, Sighting((LAG,)), 10.0, Policy())
    show_known(file_store, memory)
    (known,) = read_known(file_store)
    assert (known.condition, known.told_at) == (LAG, 10.0)


def test_what_has_not_changed_is_not_put_again(file_store: FileStore) -> None:
    memory, _ = judge({}, Sighting((LAG,)), 10.0, Policy())
    show_known(file_store, memory)
    before = file_store.get("alerts/known.json").etag
    later, _ = judge(memory, Sighting((LAG,)), 20.0, Policy())
    show_known(file_store, later)
    assert file_store.get("alerts/known.json").etag == before
    assert later != memory


def test_nothing_is_known_where_nobody_was_told_or_another_version_wrote(file_store: FileStore) -> None:
    assert read_known(file_store) == []
    for damaged in (b"{}", b"[3]", b"no JSON", b'[{"told_at": 1}]'):
        file_store.put("alerts/known.json", damaged)
        assert read_known(file_store) == []
