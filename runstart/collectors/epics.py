"""Monitors EPICS process variables; what cannot be known is recorded as such, never passed over.

Samples bear the IOC's time stamp, severity and alarm state. A disconnected IOC, one that never was there, and one that
hangs (it holds its connection and answers nothing) are samples of severity DISCONNECTED without a value. A
channel without updates is asked each `heartbeat`; without an answer for `silence` seconds it counts as lost since the
first question that was not answered. After a loss the value is known again only when it has come again: that
sample bears the time of receipt if the IOC's stamp is older than the loss. The same holds where the IOC's
clock is not set, which the sample's status says. Choices are recorded as their texts; arrays are refused.
"""

from __future__ import annotations

import math
import time
from typing import ClassVar

from runstart.collectors._channel_access import (
    Answered,
    ChannelAccess,
    Connection,
    Described,
    Event,
    Updated,
)
from runstart.collectors.base import Collector
from runstart.collectors.context import RunContext
from runstart.collectors.options import EpicsOptions
from runstart.events import Severity

__all__ = ["EpicsCollector"]

_NS_PER_S = 1_000_000_000
_MOST_NAMED = 3  # PVs in a trouble


class _Monitored:
    """One PV: what is known of its connection."""

    def __init__(self, pv: str, names: list[str], now: float, now_ns: int) -> None:
        self.pv = pv
        self.names = names
        self.connected = False
        self.heard = now
        self.asked: float | None = None
        self.asked_ns = now_ns
        self.lost_ns: int | None = None
        """Since when it has been lost; None while it is alive, or not missed yet."""
        self.refused: str | None = None
        self.remark: str | None = None


class EpicsCollector(Collector):
    """Records process variables whenever they change.

    Parameters
    ----------
    options : EpicsOptions
        PVs and how long they may be silent.
    """

    Options: ClassVar[type[EpicsOptions]] = EpicsOptions
    interval = 0.0

    def __init__(self, options: EpicsOptions) -> None:
        super().__init__(options)
        self._heartbeat = options.heartbeat
        self._silence = options.silence
        self._access: ChannelAccess | None = None
        self._monitored: dict[str, _Monitored] = {}
        self._looked = 0.0

    def on_run_start(self, run: RunContext) -> None:
        """Open a channel to each PV."""
        now, now_ns = time.monotonic(), time.time_ns()
        for name, pv in self.options.pvs.items():
            monitored = self._monitored.setdefault(pv, _Monitored(pv, [], now, now_ns))
            monitored.names.append(name)
        self._access = ChannelAccess(list(self._monitored), run.identity)

    def collect(self, run: RunContext) -> None:
        """Take what has come, and look after channels that are silent."""
        access = self._opened()
        # Half a heartbeat, so that silence is noticed soon; half a second, so that the end of the run is.
        patience = min(self._heartbeat / 2, 0.5)
        event = access.next(patience)
        while event is not None:
            self._take(run, event)
            if time.monotonic() - self._looked >= patience:
                break
            event = access.next(0.0)
        if time.monotonic() - self._looked >= patience:
            self._look_after(run)

    def on_run_end(self, run: RunContext) -> None:  # noqa: ARG002 - every collector is told
        """Close the channels."""
        if self._access is not None:
            self._access.close()
            self._access = None

    def _opened(self) -> ChannelAccess:
        if self._access is None:
            raise RuntimeError("The channels are not open.")
        return self._access

    def _take(self, run: RunContext, event: Event) -> None:
        monitored = self._monitored[event.pv]
        monitored.heard, monitored.asked = time.monotonic(), None
        match event:
            case Connection(up=True):
                monitored.connected = True
                monitored.refused = self._opened().subscribe(event.pv)
            case Connection():
                monitored.connected = False
                self._lose(run, monitored, event.received_ns, "disconnected")
            case Updated():
                self._update(run, monitored, event)
            case Described():
                for name in monitored.names:
                    run.describe(name, event.unit)
            case Answered():
                if monitored.lost_ns is not None and monitored.connected and monitored.refused is None:
                    self._opened().subscribe(event.pv)  # brings the value, which may be an old one

    def _update(self, run: RunContext, monitored: _Monitored, event: Updated) -> None:
        time_ns, status = event.time_ns, event.status
        monitored.remark = None
        if time_ns <= 0:
            time_ns = event.received_ns
            status = f"{status} (time of receipt: the IOC's clock is not set)".strip()
            monitored.remark = f"{monitored.pv} has no time stamp"
        elif monitored.lost_ns is not None and time_ns <= monitored.lost_ns:
            time_ns = max(event.received_ns, monitored.lost_ns + 1)
        monitored.lost_ns = None
        for name in monitored.names:
            run.record(
                name,
                event.value,
                time_ns,
                min(event.severity, Severity.INVALID),
                status=status,
                source=event.pv,
                identity=event.identity or "",
            )

    def _look_after(self, run: RunContext) -> None:
        """Ask silent channels, and find those that are lost."""
        now, now_ns = time.monotonic(), time.time_ns()
        self._looked = now
        for monitored in self._monitored.values():
            if not monitored.connected:
                if now - monitored.heard > self._silence:
                    self._lose(run, monitored, monitored.asked_ns, "never connected")
            elif monitored.asked is not None:
                if now - monitored.asked > self._silence:
                    self._lose(run, monitored, monitored.asked_ns, "no answer")
            elif now - monitored.heard >= self._heartbeat:
                monitored.asked, monitored.asked_ns = now, now_ns
                self._opened().ask(monitored.pv)
        run.trouble(self._trouble())

    def _lose(self, run: RunContext, monitored: _Monitored, time_ns: int, status: str) -> None:
        """Record that a PV's value is not known any more, once."""
        if monitored.lost_ns is not None:
            return
        monitored.lost_ns = time_ns
        for name in monitored.names:
            run.record(name, math.nan, time_ns, Severity.DISCONNECTED, status=status, source=monitored.pv)

    def _trouble(self) -> str | None:
        every = self._monitored.values()
        texts = [m.refused for m in every if m.refused is not None]
        lost = [m.pv for m in every if m.lost_ns is not None]
        if lost:
            texts.append(f"no answer from {_listed(lost)}")
        texts += [m.remark for m in every if m.remark is not None][:_MOST_NAMED]
        dropped = self._opened().dropped
        if dropped:
            texts.append(f"{dropped:,} updates came faster than they could be taken and were dropped")
        return "; ".join(texts) + "." if texts else None


def _listed(pvs: list[str]) -> str:
    more = len(pvs) - _MOST_NAMED
    return ", ".join(pvs[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
