from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.feed import BEAT_SECONDS, Feed, Message, Source, TooManyListeners, read_id, write_id
from runstart.errors import Transient

PATIENCE_S = 20.0
SECONDS = 0.02


class Readings:
    """A source whose state tests change; counts how often it is read."""

    def __init__(self, **topics: Any) -> None:
        self.topics: dict[str, Any] = topics
        self.count = 0
        self.error: Exception | None = None
        self.slow = threading.Event()
        self.slow.set()

    def read(self) -> dict[str, Any]:
        self.count += 1
        assert self.slow.wait(PATIENCE_S)
        if self.error is not None:
            raise self.error
        return dict(self.topics)

    @property
    def source(self) -> Source:
        return Source(self.read, SECONDS)


def run(work: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(work(), PATIENCE_S))


async def next_of(messages: AsyncIterator[Message], event: str) -> Message:
    async for message in messages:
        if message.event == event:
            return message
    raise AssertionError(f"the stream has ended without {event}")


@contextlib.asynccontextmanager
async def listening(feed: Feed, *topics: str, last_id: str = "") -> AsyncIterator[AsyncIterator[Message]]:
    async with contextlib.aclosing(feed.listen(topics, last_id)) as messages:
        yield messages


def test_a_listener_is_told_the_state_and_then_each_change() -> None:
    async def work() -> None:
        readings = Readings(a=1, b=1)
        async with listening(Feed([readings.source]), "a") as messages:
            assert (await next_of(messages, "a")).data == "1"
            readings.topics["a"] = {"rate": 2.5}
            assert (await next_of(messages, "a")).data == '{"rate":2.5}'

    run(work)


def test_topics_of_others_are_not_told() -> None:
    async def work() -> None:
        readings = Readings(**{"run/A": 1, "run/B": 2})
        async with listening(Feed([readings.source]), "run/B") as messages:
            assert (await next_of(messages, "run")).data == "2"
            readings.topics["run/A"] = 5
            readings.topics["run/B"] = 3
            assert (await next_of(messages, "run")).data == "3"

    run(work)


def test_a_listener_who_comes_back_to_another_gateway_is_told_only_what_is_new(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gateway.feed.BEAT_SECONDS", 0.2)

    async def work() -> None:
        readings = Readings(a=1, b=1)
        seen = ""
        async with listening(Feed([readings.source]), "a", "b") as messages:
            for event in ("a", "b"):
                seen = (await next_of(messages, event)).id
        readings.topics["b"] = 2
        async with listening(Feed([readings.source]), "a", "b", last_id=seen) as messages:
            told = [await anext(messages) for _ in range(3)]
        assert [message.event for message in told if message.event != "beat"] == ["b"]

    run(work)


def test_all_listeners_share_one_reading() -> None:
    async def work() -> None:
        readings = Readings(a=1)
        readings.slow.clear()
        feed = Feed([readings.source])
        async with contextlib.AsyncExitStack() as stack:
            streams = [await stack.enter_async_context(listening(feed, "a")) for _ in range(20)]
            asked = [asyncio.create_task(next_of(stream, "a")) for stream in streams]
            await asyncio.sleep(0.05)
            readings.slow.set()
            assert {message.data for message in await asyncio.gather(*asked)} == {"1"}
            assert readings.count <= 2

    run(work)


def test_nothing_is_read_while_nobody_listens() -> None:
    async def work() -> None:
        readings = Readings(a=1)
        feed = Feed([readings.source])
        async with listening(feed, "a") as messages:
            await next_of(messages, "a")
        assert feed.listeners == 0
        await asyncio.sleep(2 * SECONDS)
        count = readings.count
        await asyncio.sleep(5 * SECONDS)
        assert readings.count == count
        readings.topics["a"] = 2
        async with listening(feed, "a") as messages:
            assert (await next_of(messages, "a")).data == "2"

    run(work)


def test_a_store_that_is_away_is_told_and_that_it_is_back() -> None:
    async def work() -> None:
        readings, other = Readings(a=1), Readings(b=1)
        async with listening(Feed([readings.source, other.source]), "a") as messages:
            await next_of(messages, "a")
            readings.error = Transient("no route to the store")
            assert "no route to the store" in (await next_of(messages, "trouble")).data
            readings.error = None
            assert json.loads((await next_of(messages, "trouble")).data) == {"text": ""}

    run(work)


def test_a_bug_in_a_reading_ends_the_stream() -> None:
    async def work() -> None:
        readings = Readings()
        readings.error = ZeroDivisionError("a bug")
        async with listening(Feed([readings.source]), "a") as messages:
            with pytest.raises(ZeroDivisionError):
                await next_of(messages, "a")

    run(work)


def test_a_silent_facility_still_beats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.feed.BEAT_SECONDS", 0.05)

    async def work() -> None:
        async with listening(Feed([Readings().source], clock=lambda: 12.5), "a") as messages:
            began = time.monotonic()
            for _ in range(3):
                assert json.loads((await next_of(messages, "beat")).data) == {"now": 12.5}
            assert time.monotonic() - began < BEAT_SECONDS

    run(work)


def test_a_gateway_that_ends_ends_its_streams_at_once() -> None:
    async def work() -> None:
        feed = Feed([Readings(a=1).source])
        async with listening(feed, "a") as messages:
            await next_of(messages, "a")
            feed.end()
            began = time.monotonic()
            assert [message async for message in messages if message.event != "beat"] == []
            assert time.monotonic() - began < BEAT_SECONDS / 2

    run(work)


def test_there_is_an_end_to_how_many_listen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.feed.MOST_LISTENERS", 1)

    async def work() -> None:
        feed = Feed([Readings(a=1).source])
        async with listening(feed, "a") as messages:
            await next_of(messages, "a")
            async with listening(feed, "a") as others:
                with pytest.raises(TooManyListeners):
                    await anext(others)
            assert feed.listeners == 1

    run(work)


_TOPICS = st.from_regex(r"[A-Za-z0-9_./-]{1,40}", fullmatch=True)
_VERSIONS = st.from_regex(r"[0-9a-f]{12}", fullmatch=True)


@given(st.dictionaries(_TOPICS, _VERSIONS))
def test_an_id_is_read_as_it_was_written(seen: dict[str, str]) -> None:
    assert read_id(write_id(seen)) == seen


@given(st.text())
def test_any_text_as_an_id_is_harmless(text: str) -> None:
    assert all(len(version) == 12 for version in read_id(text).values())


def test_a_message_is_a_block_of_the_stream() -> None:
    assert Message("run", '{"a":1}', "a=b").encode() == b'id: a=b\nevent: run\ndata: {"a":1}\n\n'
