from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi import APIRouter
from fastapi.routing import APIRoute
from gateway_kit import FakeDagster, Wallet, bearer, make_order, make_settings, open_gateway

from gateway import make_app
from gateway.app import check_guarded
from gateway.context import Reader
from gateway.errors import INTERNAL, NO_ADDRESS
from gateway.routes import ROUTERS
from gateway.tokens import Scope
from runstart.errors import Transient
from runstart.storage import FileStore

OPEN = {
    "GET /",
    "GET /api/v1/docs",
    "GET /health",
    "GET /health/ready",
    "GET /page/settings",
    "GET /page/{name}",
    # Its address is signed and ends.
    "GET /api/outputs/{key}/{number}/{what}",
    "DELETE /api/v1/operator/compute",
    "GET /api/v1/operator/compute",
    "GET /api/v1/operator/environments",
    "GET /api/v1/operator/getResult",
    "GET /api/v1/operator/runningjobs",
    "POST /api/v1/operator/compute",
    "PUT /api/v1/operator/compute",
    # These take an administrator's signature in place of a token.
    "GET /api/v1/operator/info",
    "GET /api/v1/operator/list",
    "GET /api/v1/operator/logs",
    "POST /api/v1/operator/pgsqlinit",
}


PUBLIC = {
    "GET /",
    "GET /api/v1/docs",
    "GET /health",
    "GET /health/ready",
    "GET /page/settings",
    "GET /page/{name}",
    "DELETE /api/v1/operator/compute",
    "GET /api/v1/operator/environments",
    "GET /api/v1/operator/runningjobs",
}


def routes() -> Iterator[tuple[str, str]]:
    """Yield method and path of every route."""
    for router in ROUTERS:
        for route in router.routes:
            assert isinstance(route, APIRoute)
            yield from ((method, route.path) for method in sorted(route.methods))


def filled(path: str) -> str:
    """Return a path with something in place of its parameters."""
    return re.sub(r"\{[^}]*\}", "1", path)


CLOSED = sorted(f"{method} {path}" for method, path in routes() if f"{method} {path}" not in OPEN)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[httpx.Client, FileStore]]:
    """A gateway that tests share who change nothing, and its store."""
    store = FileStore(tmp_path_factory.mktemp("store"))
    with open_gateway(store) as client:
        yield client, store


@pytest.mark.parametrize("method_and_path", CLOSED)
def test_a_route_that_is_not_among_the_open_ones_needs_a_token(
    gateway: tuple[httpx.Client, FileStore], method_and_path: str
) -> None:
    method, path = method_and_path.split(" ")
    client, store = gateway
    answer = client.request(method, filled(path), json={})
    assert answer.status_code == 401, answer.text
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert list(answer.json()) == ["error"]
    assert store.list() == []


def test_the_open_routes_are_the_ones_that_this_test_names() -> None:
    assert {f"{method} {path}" for method, path in routes()} >= OPEN


@pytest.mark.parametrize("method_and_path", sorted(OPEN - PUBLIC))
def test_a_route_that_takes_a_signature_in_place_of_a_token_answers_nobody_without_one(
    gateway: tuple[httpx.Client, FileStore], method_and_path: str
) -> None:
    method, path = method_and_path.split(" ")
    client, store = gateway
    answer = client.request(method, filled(path), json={})
    assert answer.status_code in {400, 401, 403}, answer.text
    assert list(answer.json()) == ["error"]
    assert store.list() == []


def test_a_token_for_reading_changes_nothing(file_store: FileStore) -> None:
    headers = bearer(file_store, Scope.READ)
    before = file_store.list()
    with open_gateway(file_store) as client:
        for method, path in (each.split(" ") for each in CLOSED):
            if method == "GET" or path.startswith("/api/analysis/"):
                continue
            answer = client.request(method, filled(path), json={}, headers=headers)
            assert (answer.status_code, method, path) == (403, method, path)
    assert file_store.list() == before


def test_a_route_that_nobody_guards_keeps_the_app_from_starting() -> None:
    guarded, unguarded, nested = APIRouter(), APIRouter(), APIRouter()

    @guarded.get("/one")
    def read(caller: Reader) -> str:
        return caller.name

    @unguarded.get("/two")
    def leak() -> str:
        return "secret"

    nested.include_router(unguarded)
    check_guarded([guarded])
    for wrong in (unguarded, nested):
        with pytest.raises(RuntimeError, match="needs no token"):
            check_guarded([guarded, wrong])


@pytest.mark.parametrize(("path", "status"), [("/nothing", 404), ("/api/v1/operator/../../etc/passwd", 404)])
def test_an_unknown_address_is_answered_as_every_error(file_store: FileStore, path: str, status: int) -> None:
    with open_gateway(file_store) as client:
        answer = client.get(path)
    assert (answer.status_code, answer.json()) == (status, {"error": NO_ADDRESS})


def test_an_unknown_method_is_answered_as_every_error(file_store: FileStore) -> None:
    with open_gateway(file_store) as client:
        answer = client.patch("/api/v1/operator/compute")
    assert answer.status_code == 405
    assert "Allow" in answer.json()["error"]
    assert answer.headers["Allow"] == "DELETE, GET, POST, PUT"


def test_an_address_with_another_slash_is_unknown_and_no_token_is_sent_on(file_store: FileStore) -> None:
    with open_gateway(file_store) as client:
        answers = [client.get(path) for path in ("/api/instruments", "/health/", "/api/v1/operator/compute/")]
    assert [answer.status_code for answer in answers] == [404] * 3


def test_the_root_says_who_this_is_and_gives_browsers_the_page(file_store: FileStore) -> None:
    with open_gateway(file_store, operator_address="0x" + "1" * 40, storage_expiry=24) as client:
        told = client.get("/")
        page = client.get("/", headers={"Accept": "text/html,application/xhtml+xml"})
    assert told.json()["software"] == "Operator service"
    assert (told.json()["address"], told.json()["storageExpiry"]) == ("0x" + "1" * 40, 24)
    assert page.headers["Content-Type"].startswith("text/html")


def test_it_is_alive_without_dagster_but_not_ready(file_store: FileStore) -> None:
    with open_gateway(file_store, FakeDagster(is_away=True)) as client:
        alive, ready = client.get("/health"), client.get("/health/ready")
    assert (alive.status_code, ready.status_code) == (200, 503)
    assert "Retry-After" in ready.headers
    with open_gateway(file_store) as client:
        assert client.get("/health/ready").status_code == 200


class BrokenStore(FileStore):
    """A store that fails in one of two ways."""

    error: Exception = Transient("the disk /secret/place is full")

    def get(self, key: str) -> Any:
        raise self.error

    def list(self, prefix: str = "") -> Any:
        raise self.error


def test_a_store_that_does_not_answer_is_503_and_says_nothing_of_it(file_store: FileStore) -> None:
    with open_gateway(BrokenStore(file_store.root)) as client:
        answers = [
            client.post("/api/v1/operator/compute", json=make_order(Wallet())),
            client.get("/api/v1/operator/runningjobs"),
            client.get("/api/v1/operator/info", headers=bearer(file_store, Scope.ADMIN)),
        ]
    for answer in answers:
        assert (answer.status_code, answer.json()) == (
            503,
            {"error": "What this needs does not answer. Try again."},
        )
        assert int(answer.headers["Retry-After"]) > 0


def test_a_bug_is_500_and_says_nothing_of_it(file_store: FileStore) -> None:
    store = BrokenStore(file_store.root)
    store.error = KeyError("/secret/place")
    with open_gateway(store) as client:
        answer = client.get("/api/v1/operator/runningjobs")
    assert (answer.status_code, answer.json()) == (500, {"error": INTERNAL})


def test_other_origins_are_told_nothing_unless_they_are_named(file_store: FileStore) -> None:
    origin = "https://portal.example.org"
    asks = {"Origin": origin, "Access-Control-Request-Method": "GET"}
    with open_gateway(file_store) as client:
        closed = [client.get("/", headers={"Origin": origin}), client.options("/", headers=asks)]
    with open_gateway(file_store, cors_origins=(origin,)) as client:
        named = [client.get("/", headers={"Origin": origin}), client.options("/", headers=asks)]
        other = client.get("/", headers={"Origin": "https://evil.example.org"})
    assert not any("Access-Control-Allow-Origin" in answer.headers for answer in (*closed, other))
    assert {answer.headers["Access-Control-Allow-Origin"] for answer in named} == {origin}


def test_nothing_is_kept_by_caches_or_guessed_by_browsers(file_store: FileStore) -> None:
    with open_gateway(file_store) as client:
        answers = [client.get("/"), client.get("/nothing"), client.get("/api/v1/operator/runningjobs")]
    for answer in answers:
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "no-store"
        assert "Server" not in answer.headers


def test_nested_bodies_break_no_route(file_store: FileStore) -> None:
    headers = {**bearer(file_store, Scope.ADMIN), "Content-Type": "application/json"}
    with open_gateway(file_store) as client:
        for method, path in routes():
            for bomb in (b"[" * 100_000, b'{"a":' * 100_000, b'{"name":' + b"[" * 50_000 + b"]" * 50_000 + b"}"):
                # Some answers have no end.
                with client.stream(method, filled(path), content=bomb, headers=headers) as answer:
                    assert answer.status_code < 500, (method, path)


def test_the_description_is_shown_to_people_without_a_script(file_store: FileStore) -> None:
    with open_gateway(file_store) as client:
        page = client.get("/api/v1/docs")
    assert page.headers["Content-Type"].startswith("text/html")
    assert "/api/v1/operator/getResult" in page.text
    assert "<script" not in page.text
    assert not re.findall(r"(?:src|href)=\"(?!/spec)", page.text)


def test_settings_of_tests_differ_from_a_deployments_in_what_they_open() -> None:
    assert make_settings(providers_only=True, rate=50, burst=200) == type(make_settings())()


def test_an_app_of_the_defaults_is_made(file_store: FileStore) -> None:
    assert make_app(make_settings(), file_store, FakeDagster().client()).title == "Runstart gateway"
