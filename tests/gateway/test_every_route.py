"""What holds for every route, whoever wrote it: it is described in full, every change is told, and none hangs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from gateway_kit import make_order
from lived_in_gateway import LivedIn, open_lived_in

from gateway.routes import ROUTERS
from gateway.tokens import TokenBook
from runstart.errors import Transient
from runstart.storage import FileStore

OPERATOR = "/api/v1/operator"
CHANGE_NOTHING = {
    f"DELETE {OPERATOR}/compute",
    f"POST {OPERATOR}/pgsqlinit",
    "POST /api/analysis/{action}/",  # a question that is too long for an address
}
SIGNED = {f"{method} {OPERATOR}/compute" for method in ("POST", "PUT", "GET")} | {f"GET {OPERATOR}/getResult"}
ENDLESS = "GET /api/events"
STATUSES_OF_ALL = {"408", "413", "429", "500", "503"}
BY_TOKEN = STATUSES_OF_ALL | {"401", "403"}


@pytest.fixture
def lived_in(tmp_path: Path) -> Iterator[LivedIn]:
    with open_lived_in(tmp_path, timeout_s=0.5) as opened:
        yield opened


@pytest.fixture(scope="module")
def description(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    with open_lived_in(tmp_path_factory.mktemp("gateway")) as opened:
        described: dict[str, Any] = opened.client.get("/spec").json()
    return described


@dataclass(frozen=True)
class Asked:
    """A request that is right, made of what is known and of the description's examples."""

    name: str
    method: str
    path: str
    query: dict[str, Any]
    body: Any

    def send(self, client: httpx.Client) -> httpx.Response:
        body = {} if self.body is None else {"json": self.body}
        return client.request(self.method, self.path, params=self.query, **body)


def operations(description: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in description["paths"].items():
        yield from ((f"{method.upper()} {path}", operation) for method, operation in methods.items())


def resolve(schema: dict[str, Any], description: dict[str, Any]) -> dict[str, Any]:
    name = schema.get("$ref", "").rpartition("/")[2]
    resolved: dict[str, Any] = description["components"]["schemas"][name] if name else schema
    return resolved


def example_of(schema: dict[str, Any], description: dict[str, Any]) -> Any:
    """Return the example of a schema, or what the examples of its required properties make."""
    if "$ref" in schema and "examples" not in schema:
        schema = resolve(schema, description)
    if "example" in schema:
        return schema["example"]
    if "examples" in schema:
        return schema["examples"][0]
    if "default" in schema:
        return schema["default"]
    if "enum" in schema:
        return schema["enum"][0]
    properties = schema["properties"]
    return {name: example_of(properties[name], description) for name in schema.get("required", ())}


def ask(lived_in: LivedIn, description: dict[str, Any], name: str) -> Asked:
    method, path = name.split(" ")
    operation = description["paths"][path][method.lower()]
    known = lived_in.known_of(path)
    query: dict[str, Any] = {}
    for parameter in operation.get("parameters", ()):
        given = known.get(parameter["name"])
        if parameter["in"] == "path":
            path = path.replace(f"{{{parameter['name']}}}", str(given))
        elif parameter["in"] == "query" and (parameter["required"] or given):
            query[parameter["name"]] = (
                given or parameter.get("example") or example_of(parameter["schema"], description)
            )
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    body = None if content is None else example_of(content["schema"], description)
    if isinstance(body, dict):
        body |= {each: known[each] for each in body.keys() & known.keys()}
    if name in SIGNED:
        job_id = "" if method == "POST" else lived_in.known_of(f"{OPERATOR}/")["jobId"]
        signed = lived_in.wallet.signed(lived_in.wallet.address, job_id)
        if method == "GET":
            query |= signed
            query.pop("agreementId", None)
        else:
            body = make_order(lived_in.wallet) if method == "POST" else signed
    return Asked(name, method, path, query, body)


def all_routes() -> list[str]:
    routes = [route for router in ROUTERS for route in router.routes]
    return [f"{method} {route.path_format}" for route in routes for method in sorted(route.methods)]  # type: ignore[attr-defined] # all are APIRoutes


ROUTES = sorted(set(all_routes()) - {"GET /api/v1/docs"})


def test_every_route_is_described(description: dict[str, Any]) -> None:
    assert [name for name, _ in sorted(operations(description))] == ROUTES


@pytest.mark.parametrize("name", ROUTES)
def test_every_status_is_described_and_every_error_has_an_example(description: dict[str, Any], name: str) -> None:
    operation = dict(operations(description))[name]
    responses = operation["responses"]
    assert operation["summary"]
    assert operation["description"]
    assert (BY_TOKEN if operation.get("security") else STATUSES_OF_ALL) <= responses.keys()
    assert "422" not in responses
    if operation.get("parameters") or operation.get("requestBody"):
        assert "400" in responses
    for status, answer in responses.items():
        assert answer["description"], status
        if status >= "400":
            assert answer["content"]["application/json"]["example"]["error"], status
        assert ("Retry-After" in answer.get("headers", {})) == (status in {"429", "503"}), status


@pytest.mark.parametrize("name", ROUTES)
def test_everything_that_is_sent_has_an_example(description: dict[str, Any], name: str) -> None:
    operation = dict(operations(description))[name]
    for parameter in operation.get("parameters", ()):
        schema = resolve(parameter["schema"], description)
        has_one = {"example", "examples"} & parameter.keys() or {"examples", "default", "enum"} & schema.keys()
        assert has_one or not parameter["required"], parameter["name"]
    for content in operation.get("requestBody", {}).get("content", {}).values():
        assert example_of(content["schema"], description) is not None


@pytest.mark.parametrize("name", ROUTES)
def test_everything_that_is_answered_has_a_schema(description: dict[str, Any], name: str) -> None:
    for status, answer in dict(operations(description))[name]["responses"].items():
        for content in answer.get("content", {}).values():
            assert content.get("schema") is not None, status


def test_every_route_answers_its_example(lived_in: LivedIn, description: dict[str, Any]) -> None:
    asked = [ask(lived_in, description, name) for name in ROUTES if name != ENDLESS]
    # What is removed comes last, a session after its operations.
    asked.sort(key=lambda each: (each.method == "DELETE", each.method == "DELETE" and -len(each.path)))
    unlike = {each.name: answer.text for each in asked if (answer := each.send(lived_in.client)).status_code >= 300}
    assert unlike == {}


def test_every_change_is_in_the_audit_log(lived_in: LivedIn, description: dict[str, Any]) -> None:
    changing = [name for name in ROUTES if not name.startswith("GET") and name not in CHANGE_NOTHING]
    changing.sort(key=lambda name: (name.startswith("DELETE"), -len(name)))
    silent = []
    for name in changing:
        if name == f"PUT {OPERATOR}/compute":
            started = lived_in.client.post(f"{OPERATOR}/compute", json=make_order(lived_in.wallet)).json()
            lived_in.known[f"{OPERATOR}/"]["jobId"] = started[0]["jobId"]
        before = lived_in.store.list("gateway/audit/")
        answer = ask(lived_in, description, name).send(lived_in.client)
        assert answer.status_code < 300, (name, answer.text)
        if lived_in.store.list("gateway/audit/") == before:
            silent.append(name)
    assert silent == []
    written = b"".join(lived_in.store.get(key).data for key in lived_in.store.list("gateway/audit/")).decode()
    assert lived_in.client.headers["Authorization"].split()[1] not in written


def test_no_route_hangs_while_dagster_does(lived_in: LivedIn, description: dict[str, Any]) -> None:
    lived_in.dagster.hangs = True
    statuses = {}
    for name in ROUTES:
        if name == ENDLESS or name.startswith("DELETE"):
            continue
        began = time.monotonic()
        answer = ask(lived_in, description, name).send(lived_in.client)
        assert time.monotonic() - began < 20, name
        statuses[name] = answer.status_code
        assert answer.status_code < 500 or "Retry-After" in answer.headers, (name, answer.text)
    assert 500 not in statuses.values()
    assert statuses["POST /post/"] == statuses["GET /health/ready"] == statuses[f"POST {OPERATOR}/compute"] == 503
    assert statuses[f"GET {OPERATOR}/compute"] == statuses["GET /api/instruments/"] == 200


def test_no_route_fails_loudly_while_the_store_is_away(
    lived_in: LivedIn, description: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    caller = TokenBook(lived_in.store).find(lived_in.client.headers["Authorization"].split()[1])
    requests = [ask(lived_in, description, name) for name in ROUTES if name != ENDLESS]

    def fail(*_args: Any, **_details: Any) -> Any:
        raise Transient("the disk /secret/place is full")

    # Callers are still known, so that the routes are reached.
    monkeypatch.setattr(TokenBook, "find", lambda _self, _text: caller)
    for method in ("get", "get_part", "head", "list", "put", "put_if_absent", "put_if_match", "delete"):
        monkeypatch.setattr(FileStore, method, fail)
    for each in requests:
        answer = each.send(lived_in.client)
        assert answer.status_code != 500, (each.name, answer.text)
        assert "secret" not in answer.text, each.name
        assert answer.status_code < 500 or "Retry-After" in answer.headers, each.name
