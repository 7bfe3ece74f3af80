from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Iterator

import httpx
import pytest
from gateway_kit import Wallet, make_order, open_gateway
from starlette.types import Message, Receive, Scope, Send
from waiting import wait_until

from gateway.limits import CrowdLimit, RateLimit
from runstart.storage import FileStore

COMPUTE = "/api/v1/operator/compute"


def test_a_body_that_is_too_long_is_refused_before_it_is_read(file_store: FileStore) -> None:
    with open_gateway(file_store, longest_body=2048) as client:
        answer = client.post(COMPUTE, content=b"x" * 2049)
        fits = client.post(COMPUTE, json=make_order(Wallet()))
    assert (answer.status_code, answer.json()) == (413, {"error": "The body is longer than 2048 bytes."})
    assert fits.status_code == 200


def test_a_body_without_a_length_is_counted_as_it_comes(file_store: FileStore) -> None:
    sent = 0

    def chunks() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(100_000):
            sent += 1024
            yield b" " * 1024

    with open_gateway(file_store, longest_body=4096) as client:
        try:
            status = client.post(COMPUTE, content=chunks()).status_code
        except httpx.HTTPError:  # the server may close before the client has sent everything
            status = 413
    assert status == 413
    assert sent < 100_000 * 1024


def test_a_length_that_lies_ends_at_the_limit(file_store: FileStore) -> None:
    with open_gateway(file_store, longest_body=4096) as client:
        answer = raw(
            client.base_url.port, f"POST {COMPUTE} HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999\r\n\r\n"
        )
    assert answer.startswith("HTTP/1.1 413")
    assert "connection: close" in answer.lower()


def test_who_sends_a_body_slowly_takes_no_place_meanwhile(file_store: FileStore) -> None:
    with open_gateway(file_store, crowd=1) as client:
        port = client.base_url.port
        assert port is not None
        with socket.create_connection(("127.0.0.1", port), timeout=30) as slow:
            slow.sendall(f"POST {COMPUTE} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{{".encode())
            assert [client.get("/").status_code for _ in range(5)] == [200] * 5


def test_a_body_that_does_not_arrive_is_not_waited_for(file_store: FileStore) -> None:
    with open_gateway(file_store, body_timeout_s=0.3) as client:
        began = time.monotonic()
        answer = raw(client.base_url.port, f"POST {COMPUTE} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{{")
    assert answer.startswith("HTTP/1.1 408")
    assert time.monotonic() - began < 30


def test_who_asks_too_often_is_told_how_long_to_wait(file_store: FileStore) -> None:
    with open_gateway(file_store, rate=0.01, burst=3) as client:
        answers = [client.get("/") for _ in range(5)]
        health = client.get("/health")
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
    assert answers[-1].json() == {"error": "Too many requests. Wait as long as Retry-After says."}
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 101
    assert health.status_code == 200


def test_what_was_used_up_comes_back_at_the_rate() -> None:
    now = [0.0]
    limit = RateLimit(None, rate=2, burst=4, clock=lambda: now[0])  # type: ignore[arg-type] # nothing comes behind
    assert [limit._take("a") for _ in range(5)] == [0, 0, 0, 0, 0.5]
    assert limit._take("b") == 0
    now[0] += 1
    assert [limit._take("a") for _ in range(3)] == [0, 0, 0.5]
    now[0] += 1000
    assert [limit._take("a") for _ in range(5)] == [0, 0, 0, 0, 0.5]


def test_clients_without_number_take_no_memory_without_end() -> None:
    limit = RateLimit(None, rate=1, burst=1)  # type: ignore[arg-type] # nothing comes behind
    for number in range(20_000):
        limit._take(str(number))
    assert len(limit._clients) == 10_000


def test_who_has_a_whole_network_of_addresses_is_one_client() -> None:
    asked: list[str] = []

    async def app(scope: Scope, _receive: Receive, _send: Send) -> None:
        asked.append(scope["client"][0])

    async def send(_message: Message) -> None:
        """Take an answer to nowhere."""

    async def ask() -> None:
        limit = RateLimit(app, rate=0.01, burst=1)
        for client in ("2001:db8:0:1::5", "2001:db8:0:1:ffff::6", "2001:db8:0:2::5", "::ffff:10.0.0.1", "10.0.0.2"):
            await limit({"type": "http", "path": "/", "client": (client, 1)}, receive, send)

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    asyncio.run(ask())
    assert asked == ["2001:db8:0:1::5", "2001:db8:0:2::5", "::ffff:10.0.0.1", "10.0.0.2"]


def test_what_comes_while_too_many_requests_are_answered_is_refused_as_every_error() -> None:
    sent: list[Message] = []

    async def ask() -> None:
        here, may_end = asyncio.Event(), asyncio.Event()

        async def app(scope: Scope, _receive: Receive, _send: Send) -> None:
            here.set()
            if scope["path"] == "/slow":
                await may_end.wait()
                raise OSError

        async def receive() -> Message:
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            sent.append(message)

        limit = CrowdLimit(app, most=1, exempt=frozenset({"/health"}))
        slow = asyncio.create_task(limit({"type": "http", "path": "/slow"}, receive, send))
        await here.wait()
        for path in ("/", "/health"):
            await limit({"type": "http", "path": path}, receive, send)
        may_end.set()
        with pytest.raises(OSError):  # noqa: PT011 - it has no text
            await slow
        # Its place is free again, although it has failed.
        await limit({"type": "http", "path": "/"}, receive, send)

    asyncio.run(ask())
    begin, body = sent
    assert begin["status"] == 503
    assert int(dict(begin["headers"])[b"retry-after"]) > 0
    assert json.loads(body["body"]) == {"error": "Too many requests at once. Try again."}


def test_a_client_cannot_say_that_it_is_another(file_store: FileStore) -> None:
    with open_gateway(file_store, rate=0.01, burst=1) as client:
        statuses = [
            client.get("/", headers={"X-Forwarded-For": each}).status_code for each in ("10.0.0.8", "10.0.0.9")
        ]
    assert statuses == [200, 429]


def raw(port: int | None, request: str) -> str:
    assert port is not None
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(request.encode())
        received = b""
        wait_until(lambda: connection.recv(1, socket.MSG_PEEK), "an answer")
        while data := connection.recv(65536):
            received += data
            if b"}" in received:
                break
    return received.decode()
