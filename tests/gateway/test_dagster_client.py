from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from gateway_kit import FakeDagster

from gateway.dagster_client import DagsterAway, DagsterClient
from runstart.errors import Alert


def with_client(fake: FakeDagster, work: Callable[[DagsterClient], Awaitable[Any]], timeout_s: float = 5.0) -> Any:
    async def run() -> Any:
        client = fake.client(timeout_s)
        try:
            return await work(client)
        finally:
            await client.close()

    return asyncio.run(run())


def answering(respond: Callable[[], httpx.Response]) -> DagsterClient:
    return DagsterClient("http://dagster", "definitions", 5.0, httpx.MockTransport(lambda _request: respond()))


def test_a_launched_run_is_found_by_its_tags_and_its_id() -> None:
    async def work(client: DagsterClient) -> None:
        run_id = await client.launch("night", {"ops": {}}, {"a": "1", "b": "2"})
        await client.launch("night", {}, {"a": "2"})
        (found,) = await client.runs({"a": "1"})
        assert (found.run_id, found.job, found.tags, found.is_over) == (
            run_id,
            "night",
            {"a": "1", "b": "2"},
            False,
        )
        assert await client.run(run_id) == found
        assert await client.run("nothing") is None

    with_client(FakeDagster(), work)


def test_a_run_is_stopped_once() -> None:
    fake = FakeDagster()

    async def work(client: DagsterClient) -> list[bool]:
        run_id = await client.launch("night", {}, {})
        stopped = [await client.stop(run_id)]
        fake.runs[0]["status"] = "CANCELED"
        return [*stopped, await client.stop(run_id), await client.stop("nothing")]

    assert with_client(fake, work) == [True, False, False]


def test_a_config_that_is_wrong_is_the_users_mistake() -> None:
    fake = FakeDagster(refuses='Missing required config entry "x"')
    with pytest.raises(Alert, match="Missing required"):
        with_client(fake, lambda client: client.launch("night", {}, {}))


def test_a_dagster_that_hangs_is_given_up_in_time() -> None:
    began = time.monotonic()
    with pytest.raises(DagsterAway) as away:
        with_client(FakeDagster(hangs=True), lambda client: client.launch("night", {}, {}), timeout_s=0.2)
    assert away.value.may_have_run
    assert time.monotonic() - began < 30


def test_a_dagster_that_refuses_the_connection_has_done_nothing() -> None:
    with pytest.raises(DagsterAway) as away:
        with_client(FakeDagster(is_away=True), lambda client: client.launch("night", {}, {}))
    assert not away.value.may_have_run


@pytest.mark.parametrize(
    "response",
    [
        httpx.Response(502, text="<html>bad gateway</html>"),
        httpx.Response(200, text="not json"),
        httpx.Response(200, json=[1]),
        httpx.Response(503, json={}),
    ],
)
def test_an_answer_that_is_not_dagsters_counts_as_none(response: httpx.Response) -> None:
    client = answering(lambda: response)
    with pytest.raises(DagsterAway):
        asyncio.run(client.ask("{ version }"))


def test_a_query_that_is_wrong_is_a_bug() -> None:
    client = answering(lambda: httpx.Response(400, json={"errors": [{"message": "Cannot query field"}]}))
    with pytest.raises(RuntimeError, match="Cannot query field"):
        asyncio.run(client.ask("{ nothing }"))


def test_the_answer_to_an_odd_launch_is_not_taken_for_a_run() -> None:
    data = {"data": {"launchRun": {"__typename": "UnauthorizedError", "message": "no"}}}
    client = answering(lambda: httpx.Response(200, json=data))
    with pytest.raises(DagsterAway, match="UnauthorizedError"):
        asyncio.run(client.launch("night", {}, {}))


def test_those_who_ask_the_same_at_once_share_one_question() -> None:
    fake = FakeDagster()

    async def work(client: DagsterClient) -> None:
        await asyncio.gather(*(client.runs({"a": "1"}) for _ in range(20)), client.runs({"a": "2"}))

    with_client(fake, work)
    assert fake.questions.count("Runs") == 2


def test_a_failed_question_is_not_kept() -> None:
    fake = FakeDagster(is_away=True)

    async def work(client: DagsterClient) -> list[Any]:
        answers = await asyncio.gather(*(client.runs() for _ in range(3)), return_exceptions=True)
        fake.is_away = False
        return [*answers, await client.runs()]

    *failed, after = with_client(fake, work)
    assert all(isinstance(error, DagsterAway) for error in failed)
    assert after == []


def test_who_gives_up_waiting_takes_the_answer_from_nobody() -> None:
    fake = FakeDagster()

    async def work(client: DagsterClient) -> Any:
        impatient = asyncio.create_task(client.read("{ version }"))
        patient = asyncio.create_task(client.read("{ version }"))
        await asyncio.sleep(0)
        impatient.cancel()
        return await patient

    assert with_client(fake, work) == {"version": "1.13.27"}


def test_a_reading_is_asked_anew_when_it_is_a_second_old(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeDagster()
    now = [time.monotonic()]
    monkeypatch.setattr("gateway.dagster_client.time.monotonic", lambda: now[0])

    async def work(client: DagsterClient) -> None:
        for seconds in (0.0, 0.9, 0.2, 0.1):
            now[0] += seconds
            await client.read("{ version }")

    with_client(fake, work)
    assert fake.questions.count("Version") == 2


def test_the_question_goes_to_one_code_location_as_json() -> None:
    seen: list[dict[str, Any]] = []

    def respond(request: httpx.Request) -> httpx.Response:
        seen.append(json.loads(request.content))
        return httpx.Response(
            200, json={"data": {"launchRun": {"__typename": "LaunchRunSuccess", "run": {"runId": "r"}}}}
        )

    client = DagsterClient("http://dagster", "definitions", 5.0, httpx.MockTransport(respond))
    assert asyncio.run(client.launch("night", {"x": 1}, {"a": "b"})) == "r"
    assert seen[0]["variables"]["params"] == {
        "selector": {
            "jobName": "night",
            "repositoryName": "__repository__",
            "repositoryLocationName": "definitions",
        },
        "runConfigData": {"x": 1},
        "executionMetadata": {"tags": [{"key": "a", "value": "b"}]},
    }
