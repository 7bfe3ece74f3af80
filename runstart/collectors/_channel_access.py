"""All that touches libca: channels whose events come out of one queue, in the thread that asks for them.

libca is one per process and calls back from threads of its own; the callbacks here only put events into the queue,
with the run's identity and the time of receipt. Every thread that uses it attaches to the process's one context.
Where IOCs are is read by libca from the environment alone (`EPICS_CA_ADDR_LIST` and its kin) when it is
first used. Its own messages about lost circuits are switched off: the events tell the same. The repeater of
beacons, through which a client learns at once that an IOC has started, runs in this process if the machine has none.
"""

from __future__ import annotations

import ctypes
import os
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

__all__ = ["Answered", "ChannelAccess", "Connection", "Described", "Event", "Updated"]

_MOST_WAITING = 100_000  # events; further ones are dropped and counted
_TYPE_STRING, _TYPE_ENUM, _TYPE_CHAR = 0, 3, 4
_MOST_CHARACTERS = 4096
_NS_PER_S = 1_000_000_000
_REPEATER_SECONDS = 0.1  # to take its port; otherwise libca would look for a program that does
_beginning = threading.Lock()

# Alarm states of EPICS Base, in their order.
_STATUSES = (
    *("", "READ", "WRITE", "HIHI", "HIGH", "LOLO", "LOW", "STATE", "COS", "COMM", "TIMEOUT", "HWLIMIT", "CALC"),
    *("SCAN", "LINK", "SOFT", "BAD_SUB", "UDF", "DISABLE", "SIMM", "READ_ACCESS", "WRITE_ACCESS"),
)


class Connection(NamedTuple):
    """A channel has been connected or disconnected."""

    pv: str
    received_ns: int
    up: bool


class Updated(NamedTuple):
    """A channel has a value: the first, another, or the same in another alarm state."""

    pv: str
    received_ns: int
    identity: str | None
    value: float | str
    time_ns: int
    """By the IOC's clock, nanoseconds since 1970; 0 or less where it does not know the time."""
    severity: int
    status: str


class Described(NamedTuple):
    """A channel has told its unit."""

    pv: str
    received_ns: int
    unit: str


class Answered(NamedTuple):
    """A channel has answered that it is alive."""

    pv: str
    received_ns: int


Event = Connection | Updated | Described | Answered


@dataclass
class _Channel:
    """libca's channel, and what must live as long as it."""

    pv: str
    chid: Any
    subscriptions: tuple[Any, ...] = ()


class ChannelAccess:
    """Channels to a set of PVs, for the thread that made it.

    Parameters
    ----------
    pvs : iterable of str
        Names of PVs, each once.
    identity : callable
        Asked at each update: which run it belongs to.
    """

    def __init__(self, pvs: list[str], identity: Callable[[], str | None]) -> None:
        from epics import ca, dbr  # type: ignore[import-untyped]

        self._ca: Any = ca
        self._dbr: Any = dbr
        self._identity = identity
        self._events: queue.Queue[Event] = queue.Queue(_MOST_WAITING)
        self.dropped = 0
        """Events that were dropped because they came faster than they were taken."""
        self._answer = dbr.make_callback(self._on_answer, dbr.event_handler_args)
        self._use()
        self._channels: dict[str, _Channel] = {}
        for pv in pvs:
            self._channels[pv] = self._create(pv)
        ca.flush_io()

    def next(self, timeout: float) -> Event | None:
        """Return the next event, waiting at most `timeout` seconds; None if there is none."""
        try:
            return self._events.get(timeout=max(timeout, 0.0))
        except queue.Empty:
            return None

    def subscribe(self, pv: str) -> str | None:
        """Monitor a connected channel, again if it is monitored; the first update brings its value.

        Parameters
        ----------
        pv : str
            The PV.

        Returns
        -------
        str or None
            Why it cannot be logged, or None.
        """
        channel = self._channels[pv]
        self._unsubscribe(channel)
        native = self._ca.field_type(channel.chid)
        count = self._ca.element_count(channel.chid)
        if count > 1 and native != _TYPE_CHAR:
            return f"{pv} is an array of {count} elements; logs take one number or text at a time"
        masks = self._dbr.DBE_VALUE | self._dbr.DBE_ALARM
        asked = _TYPE_STRING if native == _TYPE_ENUM else native
        wanted = [
            self._ca.create_subscription(
                channel.chid, use_time=True, ftype=asked, mask=masks, callback=self._on_update
            )
        ]
        if native not in (_TYPE_STRING, _TYPE_ENUM, _TYPE_CHAR):
            wanted.append(
                self._ca.create_subscription(
                    channel.chid, use_ctrl=True, mask=self._dbr.DBE_PROPERTY, callback=self._on_property
                )
            )
        channel.subscriptions = tuple(wanted)
        self._ca.flush_io()
        return None

    def ask(self, pv: str) -> None:
        """Ask a connected channel whether it is alive; the answer is an event, if it comes."""
        channel = self._channels[pv]
        kind = self._ca.field_type(channel.chid)
        # The channel keeps its name, to which libca only points.
        self._ca.libca.ca_array_get_callback(kind, 1, channel.chid, self._answer, ctypes.py_object(channel.pv))
        self._ca.flush_io()

    def close(self) -> None:
        """Give up all channels; no event comes afterwards."""
        for channel in self._channels.values():
            self._unsubscribe(channel)
            self._ca.clear_channel(channel.chid)
        self._channels.clear()
        self._ca.flush_io()

    def _use(self) -> None:
        """Attach the calling thread to the process's context, which the first use creates."""
        with _beginning:
            if self._ca.libca is None:
                # Without a beacon an IOC that was away for long is looked for only every 300 s.
                os.environ.setdefault("EPICS_CA_MAX_SEARCH_PERIOD", "60")
                _start_repeater(self._ca.find_libca())
                self._ca.initialize_libca()
        self._ca.use_initial_context()

    def _create(self, pv: str) -> _Channel:
        return _Channel(pv, self._ca.create_channel(pv, auto_cb=False, callback=self._on_connection))

    def _unsubscribe(self, channel: _Channel) -> None:
        for _, _, event_id in channel.subscriptions:
            self._ca.clear_subscription(event_id)
        channel.subscriptions = ()

    def _put(self, event: Event) -> None:
        try:
            self._events.put_nowait(event)
        except queue.Full:
            self.dropped += 1

    def _on_connection(self, pvname: str, conn: bool, **_: Any) -> None:
        self._put(Connection(pvname, time.time_ns(), bool(conn)))

    def _on_update(self, pvname: str, value: Any, **about: Any) -> None:
        received_ns = time.time_ns()
        seconds, nanoseconds = about.get("posixseconds", 0), about.get("nanoseconds", 0)
        known = seconds > self._dbr.EPICS2UNIX_EPOCH  # zero on the IOC's clock
        status = about.get("status", 0)
        self._put(
            Updated(
                pv=pvname,
                received_ns=received_ns,
                identity=self._identity(),
                value=_value(value),
                time_ns=int(seconds) * _NS_PER_S + int(nanoseconds) if known else 0,
                severity=about.get("severity", 0),
                status=_STATUSES[status] if 0 <= status < len(_STATUSES) else f"status {status}",
            )
        )

    def _on_property(self, pvname: str, units: str = "", **_: Any) -> None:
        self._put(Described(pvname, time.time_ns(), units or ""))

    def _on_answer(self, args: Any) -> None:
        if args.status == self._dbr.ECA_NORMAL:
            self._put(Answered(args.usr, time.time_ns()))


def _start_repeater(libca_path: str) -> None:
    """Repeat beacons in a thread of this process, which ends at once if the port is taken: then somebody does."""
    repeat = ctypes.cdll.LoadLibrary(libca_path).caRepeaterThread
    repeat.argtypes = [ctypes.c_void_p]
    threading.Thread(target=repeat, args=(None,), name="beacon repeater", daemon=True).start()
    time.sleep(_REPEATER_SECONDS)


def _value(value: Any) -> float | str:
    """Return a number or a text; an array is of characters, as long texts are."""
    if isinstance(value, str):
        return value
    if isinstance(value, (int, float)):
        return float(value)
    characters = bytes(int(character) & 0xFF for character in list(value)[:_MOST_CHARACTERS])
    return characters.split(b"\0", 1)[0].decode(errors="replace")
