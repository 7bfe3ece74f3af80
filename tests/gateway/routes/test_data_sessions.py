from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from facility_gateway import open_facility
from gateway_kit import bearer

from gateway.audit import AuditLog
from gateway.tokens import Scope, TokenBook
from runstart.storage import FileStore

PATH = "/api/datasessions/"
ITEMS = [{"source": "archive", "basename": f"frame-{number}"} for number in range(4)]


@pytest.fixture
def client(file_store: FileStore) -> Iterator[httpx.Client]:
    with open_facility(file_store, headers=bearer(file_store, Scope.LAUNCH), open_reading=False) as opened:
        yield opened


def create(client: httpx.Client, name: str = "M51", **more: Any) -> dict[str, Any]:
    answer = client.post(PATH, json={"name": name, **more})
    assert answer.status_code == 201, answer.text
    told: dict[str, Any] = answer.json()
    return told


def names(client: httpx.Client, **query: Any) -> list[str]:
    answer = client.get(PATH, params=query)
    assert answer.status_code == 200, answer.text
    return [each["name"] for each in answer.json()["results"]]


def test_a_session_is_made_read_changed_and_removed(client: httpx.Client) -> None:
    made = create(client, input_data=ITEMS[:2])
    path = f"{PATH}{made['id']}/"
    assert (made["name"], made["user"], made["input_data"], made["operations"]) == (
        "M51",
        "somebody",
        ITEMS[:2],
        [],
    )
    assert client.get(path).json() == made
    renamed = client.patch(path, json={"name": "M101"}).json()
    assert (renamed["name"], renamed["input_data"], renamed["created"]) == ("M101", ITEMS[:2], made["created"])
    assert renamed["modified"] > made["modified"]
    assert client.put(path, json={"name": "M33", "input_data": ITEMS[2:]}).json()["input_data"] == ITEMS
    assert client.delete(path).status_code == 204
    assert client.get(path).status_code == 404
    assert client.delete(path).status_code == 404


def test_inputs_are_added_once_however_often_they_are_sent(client: httpx.Client) -> None:
    path = f"{PATH}{create(client, input_data=ITEMS[:1])['id']}/"
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda item: client.patch(path, json={"input_data": [item, item]}), ITEMS * 2))
    assert {answer.status_code for answer in answers} == {200}
    kept = client.get(path).json()["input_data"]
    assert sorted(item["basename"] for item in kept) == [item["basename"] for item in ITEMS]


def test_sessions_are_listed_oldest_first_in_pages(client: httpx.Client) -> None:
    made = [create(client, f"s{number}") for number in range(5)]
    page = client.get(PATH, params={"limit": 2, "name": "S"}).json()
    assert (page["count"], [each["id"] for each in page["results"]]) == (5, [each["id"] for each in made[:2]])
    assert page["previous"] is None
    seen = list(page["results"])
    while page["next"]:
        page = client.get(page["next"]).json()
        seen += page["results"]
    assert [each["id"] for each in seen] == [each["id"] for each in made]
    assert client.get(page["previous"]).json()["results"][-1]["id"] == made[3]["id"]


def test_filters_let_pass_what_they_say(client: httpx.Client) -> None:
    first, second = create(client, "M51 deep"), create(client, "m101")
    client.patch(f"{PATH}{first['id']}/", json={"name": "M51 deeper"})
    assert names(client, name="DEEP") == ["M51 deeper"]
    assert names(client, name_exact="m101") == ["m101"]
    assert names(client, name_exact="M101") == []
    assert names(client, user="SOME") == ["M51 deeper", "m101"]
    assert names(client, user_exact="some") == []
    assert names(client, created_after=second["created"]) == ["m101"]
    assert names(client, created_before=first["created"]) == ["M51 deeper"]
    assert names(client, modified_after=second["modified"]) == ["M51 deeper", "m101"]
    assert names(client, modified_before=second["modified"]) == ["m101"]
    assert names(client, created_after="2200-01-01T00:00:00") == []
    assert client.get(PATH, params={"created_after": "soon"}).status_code == 400


def test_a_user_sees_no_session_of_another(client: httpx.Client, file_store: FileStore) -> None:
    path = f"{PATH}{create(client)['id']}/"
    text, _ = TokenBook(file_store).new("another", Scope.ADMIN)
    other = {"Authorization": f"Token {text}"}  # as Datalab's clients write it
    assert client.get(PATH, headers=other).json()["results"] == []
    for method in ("GET", "PUT", "PATCH", "DELETE"):
        body = {"name": "mine now"} if method in {"PUT", "PATCH"} else None
        assert client.request(method, path, headers=other, json=body).status_code == 404
    assert client.get(path).json()["name"] == "M51"


def test_who_may_only_read_changes_nothing(client: httpx.Client, file_store: FileStore) -> None:
    path = f"{PATH}{create(client)['id']}/"
    reader = bearer(file_store, Scope.READ)
    assert client.get(path, headers=reader).status_code == 200
    assert client.post(PATH, json={"name": "x"}, headers=reader).status_code == 403
    assert client.patch(path, json={"name": "x"}, headers=reader).status_code == 403
    assert client.delete(path, headers=reader).status_code == 403


NO_SESSIONS = (
    {},
    {"name": ""},
    {"name": "x" * 151},
    {"name": 3},
    {"name": "x", "input_data": {}},
    {"name": "x", "input_data": [3]},
    [],
)


@pytest.mark.parametrize("body", NO_SESSIONS)
def test_a_session_that_is_none_is_refused_with_the_reason(client: httpx.Client, body: Any) -> None:
    answer = client.post(PATH, json=body)
    assert answer.status_code == 400
    assert set(answer.json()) == {"error"}
    assert names(client) == []


@pytest.mark.parametrize("number", ["17", "-1", "abc", "9" * 30, "..%2F..%2Ftokens"])
def test_a_number_that_is_none_is_not_found_or_refused(client: httpx.Client, number: str) -> None:
    assert client.get(f"{PATH}{number}/").status_code in {400, 404}


def test_every_change_is_in_the_audit_log(client: httpx.Client, file_store: FileStore) -> None:
    made = create(client)
    client.patch(f"{PATH}{made['id']}/", json={"name": "x"})
    client.delete(f"{PATH}{made['id']}/")
    told = [(each["who"], each["action"]) for each in AuditLog(file_store).list(made["created"][:10])]
    assert told == [
        ("somebody", "data_session.create"),
        ("somebody", "data_session.change"),
        ("somebody", "data_session.delete"),
    ]
