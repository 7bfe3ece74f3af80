"""Requests for probe sessions: those that are right are read, the others are refused with their reason."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runstart.errors import Alert
from runstart.probe_sessions import (
    MOST_MESSAGES,
    REQUESTS_PREFIX,
    ProbeOrder,
    Refused,
    Request,
    read_requests,
    remove_request,
    write_request,
)
from runstart.sessions.records import is_session_id
from runstart.storage import FileStore


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return FileStore(tmp_path / "store")


def test_a_request_is_read_as_it_was_written(store: FileStore) -> None:
    assert read_requests(store) == []
    write_request(store, 12, plain_stream=False, name="b")
    write_request(store, MOST_MESSAGES, plain_stream=True, name="a")
    first, second = read_requests(store)
    assert isinstance(first, Request)
    assert isinstance(second, Request)
    assert (first.name, first.count, first.plain_stream) == ("a", MOST_MESSAGES, True)
    assert (second.name, second.count, second.plain_stream) == ("b", 12, False)
    order = second.order()
    assert (order.count, order.plain_stream, is_session_id(order.session_id)) == (12, False, True)


def test_a_request_that_is_written_anew_is_another_one(store: FileStore) -> None:
    write_request(store, 1, plain_stream=True, name="a")
    (before,) = read_requests(store)
    write_request(store, 2, plain_stream=True, name="a")
    (after,) = read_requests(store)
    assert before.version != after.version


def test_requests_without_a_name_get_different_ones_and_can_be_removed(store: FileStore) -> None:
    names = {write_request(store, 1, plain_stream=True) for _ in range(3)}
    assert {request.name for request in read_requests(store)} == names
    assert len(names) == 3
    for name in names:
        remove_request(store, name)
    assert read_requests(store) == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not JSON"),
        ("[" * 5000, "not JSON"),
        ("7", "no count"),
        ("{}", "no count"),
        ('{"count": "7"}', "cannot send '7' messages"),
        ('{"count": true}', "cannot send 'True' messages"),
        ('{"count": 0}', "cannot send '0' messages"),
        ('{"count": 10000001}', "from 1 to 10 000 000"),
        ('{"count": 7, "plain_stream": "False"}', "plain_stream is 'False'"),
        ('{"count": 7, "image": "evil"}', "unknown field 'image'"),
        (json.dumps({"count": 7, "plain_stream": " " * 10_000}), "no request"),
    ],
)
def test_what_is_no_request_is_refused_and_stops_no_other(store: FileStore, text: str, reason: str) -> None:
    store.put(f"{REQUESTS_PREFIX}a.json", text.encode())
    write_request(store, 5, plain_stream=True, name="b")
    refused, good = read_requests(store)
    assert isinstance(refused, Refused)
    assert isinstance(good, Request)
    assert refused.name == "a"
    assert reason in refused.reason


@pytest.mark.parametrize("key", ["deep/a.json", "a.txt"])
def test_a_file_that_has_no_name_of_a_request_is_refused(store: FileStore, key: str) -> None:
    store.put(f"{REQUESTS_PREFIX}{key}", b'{"count": 7}')
    (refused,) = read_requests(store)
    assert isinstance(refused, Refused)


def test_the_plain_form_is_meant_if_none_is_said(store: FileStore) -> None:
    store.put(f"{REQUESTS_PREFIX}a.json", b'{"count": 7}')
    (request,) = read_requests(store)
    assert isinstance(request, Request)
    assert request.plain_stream


@pytest.mark.parametrize("name", ["../a", "a/b", "a b", "x" * 300])
def test_a_name_that_is_none_is_an_alert(store: FileStore, name: str) -> None:
    with pytest.raises(Alert, match="cannot be the name of a request"):
        write_request(store, 1, plain_stream=True, name=name)
    assert read_requests(store) == []


@given(count=st.one_of(st.integers(max_value=0), st.integers(min_value=MOST_MESSAGES + 1), st.floats(), st.text()))
def test_an_order_of_another_count_is_an_alert(count: int) -> None:
    with pytest.raises(Alert, match="A probe session cannot send"):
        ProbeOrder(count)
