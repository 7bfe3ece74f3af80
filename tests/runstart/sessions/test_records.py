"""Records of sessions: written whole, read whatever lies beside them, and ended once."""

from __future__ import annotations

import dataclasses
import json
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from probe_kit import write_status

from runstart.errors import Alert
from runstart.sessions.records import (
    END_STATES,
    KINDS,
    STATES,
    DamagedRecord,
    NodeRecord,
    SessionRecord,
    encode_record,
    end_record,
    is_session_id,
    new_session_id,
    read_all_records,
    read_record,
    read_records,
    read_status,
    session_key,
    write_record,
)
from runstart.storage import FileStore

ID = "0123456789ABCDEF"

times = st.floats(0, 4e9)
texts = st.text(max_size=20)
nodes = st.builds(
    NodeRecord,
    node_id=texts,
    operator=texts,
    replica=st.integers(0, 127),
    started_at=times,
    finished_at=st.none() | times,
    status=texts,
)
records = st.builds(
    SessionRecord,
    session_id=st.text("0123456789ABCDEF", min_size=16, max_size=16),
    kind=st.sampled_from(KINDS),
    name=texts,
    run_id=texts,
    launcher=texts,
    host=texts,
    pid=st.integers(1, 1 << 22),
    folder=texts,
    network=texts,
    state=st.sampled_from(STATES),
    reason=texts,
    started_at=times,
    ended_at=st.none() | times,
    nodes=st.lists(nodes, max_size=3).map(tuple),
    details=st.dictionaries(texts, st.integers() | texts, max_size=3),
)


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return FileStore(tmp_path / "store")


def test_a_new_name_is_one_and_no_other() -> None:
    names = {new_session_id() for _ in range(100)}
    assert len(names) == 100
    assert all(map(is_session_id, names))
    assert not any(map(is_session_id, ["", ID.lower(), ID + "0", ID[:-1], "../../0123456789A"]))


@settings(max_examples=50, deadline=None)
@given(record=records)
def test_a_record_is_read_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, record: SessionRecord
) -> None:
    store = FileStore(tmp_path_factory.mktemp("store"))
    write_record(store, record)
    assert read_record(store, record.session_id) == record
    assert read_all_records(store) == [record]


def test_records_come_with_the_newest_first_and_other_objects_are_passed_over(store: FileStore) -> None:
    old = SessionRecord("A" * 16, "probe", "old", started_at=1.0)
    new = SessionRecord("B" * 16, "pipeline", "new", started_at=2.0)
    for record in (old, new):
        write_record(store, record)
    write_status(store, old.session_id, {"state": "running"})
    store.put(f"sessions/{ID}/published/display/record.json", b"{}")
    assert read_records(store) == [new, old]


@pytest.mark.parametrize(
    ("change", "trouble"),
    [
        (b"", "Expecting value"),
        (b"[]", "another format"),
        ({"format": 2}, "another format"),
        ({"state": "floating"}, "in the state 'floating'"),
        ({"pid": "12"}, "field pid"),
        ({"pid": True}, "field pid"),
        ({"nodes": [3]}, "a node of it"),
        ({"session_id": "F" * 16}, "calls itself"),
    ],
)
def test_a_damaged_record_is_told_beside_the_others(
    store: FileStore, change: bytes | dict[str, object], trouble: str
) -> None:
    good = SessionRecord("A" * 16, "probe", "good")
    write_record(store, good)
    table = json.loads(encode_record(SessionRecord(ID, "probe", "bad")))
    store.put(
        session_key(ID, "record.json"),
        change if isinstance(change, bytes) else json.dumps({**table, **change}).encode(),
    )
    first, second = read_all_records(store)
    assert first == good
    assert isinstance(second, DamagedRecord)
    assert second.session_id == ID
    assert trouble in second.trouble
    assert read_records(store) == [good]
    with pytest.raises(Alert, match=f"record of session {ID} cannot be read"):
        read_record(store, ID)


def test_a_field_of_a_later_version_is_passed_over(store: FileStore) -> None:
    record = SessionRecord(ID, "probe", "later")
    table = {**json.loads(encode_record(record)), "colour": "blue"}
    store.put(session_key(ID, "record.json"), json.dumps(table).encode())
    assert read_record(store, ID) == record


def test_asking_for_a_session_that_is_none_is_an_alert(store: FileStore) -> None:
    with pytest.raises(Alert, match="There is no session 0123456789ABCDEF"):
        read_record(store, ID)
    with pytest.raises(Alert, match="is no session"):
        read_record(store, "../x")


def test_a_session_is_ended_once_with_the_nodes_that_still_ran(store: FileStore) -> None:
    done = NodeRecord("a", "probe", 0, 1.0, 5.0, "exited")
    runs = NodeRecord("b", "streaming", 0, 2.0)
    write_record(store, SessionRecord(ID, "probe", "x", state="running", nodes=(done, runs)))
    assert end_record(store, ID, "failed", "It died.", 9.0)
    record = read_record(store, ID)
    assert (record.state, record.reason, record.ended_at, record.has_ended) == ("failed", "It died.", 9.0, True)
    assert record.nodes == (done, dataclasses.replace(runs, finished_at=9.0, status="It died."))
    assert not end_record(store, ID, "stopped", "Too late.", 10.0)
    assert read_record(store, ID) == record


def test_of_many_that_end_a_session_one_does_it(store: FileStore) -> None:
    write_record(store, SessionRecord(ID, "probe", "x", state="running"))
    answers: list[bool] = []
    start = threading.Barrier(6)

    def end(number: int) -> None:
        start.wait()
        answers.append(end_record(store, ID, "failed", f"By {number}.", float(number)))

    threads = [threading.Thread(target=end, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [False] * 5 + [True]


def test_the_session_that_ends_itself_meanwhile_has_the_last_word(
    store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = SessionRecord(ID, "probe", "x", state="running")
    write_record(store, running)
    put_if_match = store.put_if_match

    def ends_first(key: str, data: bytes, etag: str) -> str:
        monkeypatch.undo()
        write_record(store, dataclasses.replace(running, state="finished", ended_at=3.0))
        return put_if_match(key, data, etag)

    monkeypatch.setattr(store, "put_if_match", ends_first)
    assert not end_record(store, ID, "failed", "It died.", 4.0)
    assert read_record(store, ID).state == "finished"


def test_the_states_of_an_end_are_states() -> None:
    assert set(STATES) > END_STATES


def test_a_status_carries_its_time_and_a_damaged_one_is_empty(store: FileStore) -> None:
    assert read_status(store, ID) == {}
    write_status(store, ID, {"state": "running"}, 7.5)
    assert read_status(store, ID) == {"state": "running", "at": 7.5}
    store.put(session_key(ID, "status.json"), b"[1]")
    assert read_status(store, ID) == {}
