"""What browsers are told as it happens: one reading of the store for all of them, and to each what it has not seen.

A topic has a state and a version, which is a digest of the state: any gateway gives the same one, so a browser that comes
back after a restart, or to another gateway, says what it has seen and is sent the rest. Nothing is queued: who is slow gets
the newest state. The store is read only while somebody listens.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runstart.errors import Alert, Transient

BEAT_SECONDS = 5.0
LONGEST_ID = 4096
MOST_LISTENERS = 500
_PAIR = re.compile(r"([A-Za-z0-9_./-]{1,120})=([0-9a-f]{12})")

Topics = Mapping[str, Any]


class TooManyListeners(Exception):
    """More browsers listen than one gateway serves."""


@dataclass(frozen=True)
class Source:
    """Something in the store that is read again and again.

    Attributes
    ----------
    read : callable
        Returns the state of its topics, as JSON takes it; called in a thread.
    seconds : float
        Between two readings.
    """

    read: Callable[[], Topics]
    seconds: float


@dataclass(frozen=True)
class Message:
    """One event of a stream, as `text/event-stream` has it.

    Attributes
    ----------
    event : str
        The topic without its name behind `/`, `beat` or `trouble`.
    data : str
        JSON in one line.
    id : str
        What the listener has seen with this message, to be sent as Last-Event-ID.
    """

    event: str
    data: str
    id: str = ""

    def encode(self) -> bytes:
        """Return the message as bytes of the stream."""
        lines = [f"id: {self.id}"] if self.id else []
        return "\n".join([*lines, f"event: {self.event}", f"data: {self.data}", "", ""]).encode()


class Feed:
    """Tells listeners of changes; belongs to one event loop.

    Parameters
    ----------
    sources : sequence of Source
        What is read.
    clock : callable, optional
        Time in s since 1970.
    """

    def __init__(self, sources: Sequence[Source], clock: Callable[[], float] = time.time) -> None:
        self._sources = tuple(sources)
        self._clock = clock
        self._states: dict[str, tuple[str, str]] = {}  # version and JSON of each topic
        self._troubles: dict[Source, str] = {}
        self._turned = asyncio.Event()
        self._is_ending = False
        self._listeners = 0
        self._readers: list[asyncio.Task[None]] = []

    @property
    def listeners(self) -> int:
        """How many listen now."""
        return self._listeners

    def end(self) -> None:
        """End what every listener is told: the gateway ends, and they come again to another one."""
        self._is_ending = True
        self._turn()

    async def listen(self, topics: Collection[str], last_id: str = "") -> AsyncGenerator[Message, None]:
        """Yield the state of topics, whatever changes of it, and a beat at least every `BEAT_SECONDS`.

        Parameters
        ----------
        topics : collection of str
            Of which to tell; one that is not known yet is told as soon as it is.
        last_id : str, optional
            The id of the last message that this listener got from this or another gateway.

        Raises
        ------
        TooManyListeners
            If there are too many.
        """
        if self._listeners >= MOST_LISTENERS:
            raise TooManyListeners
        self._listeners += 1
        try:
            if not self._readers:
                self._states.clear()  # what was read before nobody listened is old
                self._readers = [asyncio.create_task(self._keep_reading(source)) for source in self._sources]
            async for message in self._tell(topics, read_id(last_id)):
                yield message
        finally:
            self._listeners -= 1
            if self._listeners == 0:
                await self._stop_reading()

    async def _tell(self, topics: Collection[str], seen: dict[str, str]) -> AsyncIterator[Message]:
        told_trouble = ""
        while not self._is_ending:
            turned = self._turned
            for reader in self._readers:
                if reader.done():
                    reader.result()  # a bug ends the stream, and is told where the gateway runs
            for topic in topics:
                version, data = self._states.get(topic, ("", ""))
                if version and seen.get(topic) != version:
                    seen[topic] = version
                    shown = {name: seen[name] for name in topics if name in seen}
                    yield Message(topic.partition("/")[0], data, write_id(shown))
            trouble = next(filter(None, self._troubles.values()), "")
            if trouble != told_trouble:
                told_trouble = trouble
                yield Message("trouble", json.dumps({"text": told_trouble}))
            yield Message("beat", json.dumps({"now": round(self._clock(), 3)}))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(turned.wait(), BEAT_SECONDS)

    async def _keep_reading(self, source: Source) -> None:
        while True:
            try:
                topics = await asyncio.to_thread(source.read)
                self._take(topics)
                trouble = ""
            except (Alert, Transient) as error:
                trouble = f"The object store cannot be read: {error}"
            if trouble != self._troubles.get(source, ""):
                self._troubles[source] = trouble
                self._turn()
            await asyncio.sleep(source.seconds)

    def _take(self, topics: Topics) -> None:
        """Keep the newest state of topics, and wake listeners if one has changed."""
        has_changed = False
        for topic, state in topics.items():
            data = json.dumps(state, separators=(",", ":"), allow_nan=False)
            version = hashlib.sha256(data.encode()).hexdigest()[:12]
            if self._states.get(topic, ("", ""))[0] != version:
                self._states[topic] = (version, data)
                has_changed = True
        if has_changed:
            self._turn()

    def _turn(self) -> None:
        self._turned.set()
        self._turned = asyncio.Event()

    async def _stop_reading(self) -> None:
        readers, self._readers = self._readers, []
        for reader in readers:
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)


def write_id(seen: Mapping[str, str]) -> str:
    """Return the id that says which versions a listener has seen."""
    return ",".join(f"{topic}={version}" for topic, version in seen.items())


def read_id(text: str) -> dict[str, str]:
    """Return the versions that an id names; whatever is not understood is left out, so that it is told again."""
    pairs = (_PAIR.fullmatch(part) for part in text[:LONGEST_ID].split(","))
    return {pair[1]: pair[2] for pair in pairs if pair is not None}
