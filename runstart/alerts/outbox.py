"""Keeps what each channel still has to deliver: through quiet hours, and through its failures.

A notice leaves the outbox only when its channel has delivered it. Of one condition a channel is owed at most one
notice, the newest, and at most `MOST_OWED` in all; how many more there were is told with them. After a failure a
channel rests, twice as long each time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from runstart.alerts.conditions import Condition, Notice, identify

FIRST_REST_SECONDS = 30.0
LONGEST_REST_SECONDS = 3600.0
MOST_OWED = 200


@dataclass(frozen=True)
class QuietHours:
    """When people are not to be disturbed, by the clock on the wall.

    Attributes
    ----------
    begin, end : datetime.time
        Half-open range of local time; `end` may lie before `begin`, on the next day.
    zone : ZoneInfo
        Where the clock hangs.
    loud_kinds : frozenset of str
        Kinds of condition that are told all the same.
    """

    begin: time
    end: time
    zone: ZoneInfo
    loud_kinds: frozenset[str] = frozenset()

    def holds_at(self, now: float) -> bool:
        """Tell whether a time (s since 1970) lies in the quiet hours."""
        clock = datetime.fromtimestamp(now, UTC).astimezone(self.zone).time()
        if self.begin <= self.end:
            return self.begin <= clock < self.end
        return clock >= self.begin or clock < self.end


@dataclass(frozen=True)
class Owed:
    """What one channel still has to deliver.

    Attributes
    ----------
    notices : dict of str to Notice
        By the identity of their condition.
    failures : int
        Deliveries that failed since the last that did not.
    rests_until : float
        When to try again, in s since 1970.
    dropped : int
        Notices that there was no room for.
    """

    notices: Mapping[str, Notice]
    failures: int = 0
    rests_until: float = 0.0
    dropped: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name."""
        notices = [{"condition": n.condition.as_dict(), "state": n.state} for n in self.notices.values()]
        return {
            "notices": notices,
            "failures": self.failures,
            "rests_until": self.rests_until,
            "dropped": self.dropped,
        }

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Owed:
        """Return what `as_dict` gave."""
        notices = [Notice(Condition(**n["condition"]), n["state"]) for n in fields["notices"]]
        return cls(**{**fields, "notices": {n.condition.identity: n for n in notices}})


Outbox = dict[str, Owed]


def hold(outbox: Mapping[str, Owed], notices: Iterable[Notice], channels: Iterable[str]) -> Outbox:
    """Return an outbox with new notices for every channel.

    Parameters
    ----------
    outbox : mapping of str to Owed
        By channel name.
    notices : iterable of Notice
        What is to be told.
    channels : iterable of str
        The channels that there are; what others still owed is dropped.
    """
    new = list(notices)
    held = {}
    for channel in channels:
        owed = outbox.get(channel, Owed({}))
        merged = dict(owed.notices)
        for notice in new:
            identity = notice.condition.identity
            merged[identity] = notice.after(merged.pop(identity, None))
        held[channel] = _bounded(replace(owed, notices=merged))
    return held


def due(owed: Owed, now: float, quiet: QuietHours | None) -> list[Notice]:
    """Return what a channel should deliver now, oldest condition first."""
    if now < owed.rests_until:
        return []
    hushed = quiet is not None and quiet.holds_at(now)
    loud = [n for n in owed.notices.values() if not hushed or (quiet and n.condition.kind in quiet.loud_kinds)]
    ordered = sorted(loud, key=lambda n: (n.condition.since, n.condition.identity))
    if owed.dropped and not hushed:
        text = f"{owed.dropped} more notices could not be kept while this channel did not deliver."
        ordered.append(Notice(Condition("more", "", "", text, now, subject="dropped"), "new"))
    return ordered


def delivered(owed: Owed, notices: Iterable[Notice]) -> Owed:
    """Return what is still owed after a delivery of what was due."""
    gone = {notice.condition.identity for notice in notices}
    told = identify("more", "", "", "dropped") in gone
    left = {identity: n for identity, n in owed.notices.items() if identity not in gone}
    return Owed(left, dropped=0 if told else owed.dropped)


def failed(owed: Owed, now: float) -> Owed:
    """Return what is owed after a delivery that failed: the same, and a rest."""
    rest = min(FIRST_REST_SECONDS * 2.0 ** min(owed.failures, 20), LONGEST_REST_SECONDS)
    return replace(owed, failures=owed.failures + 1, rests_until=now + rest)


def _bounded(owed: Owed) -> Owed:
    """Return the newest `MOST_OWED` notices, and count the others."""
    excess = len(owed.notices) - MOST_OWED
    if excess <= 0:
        return owed
    newest = dict(list(owed.notices.items())[excess:])
    return replace(owed, notices=newest, dropped=owed.dropped + excess)
