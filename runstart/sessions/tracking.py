"""Latency of each hop and each operator, from messages that carry the times of all that they went through.

A source gives one message a second a list of times, and each operator behind adds its own; whoever has no outputs sends
the list here. Clocks of one machine are compared with each other, never with those of another.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from statistics import median
from typing import Any

_KEPT = 64
_MOST_ENTRIES = 1000
_MOST_NAMES = 1000
_LONGEST_NAME = 100
_LATEST = 1e11  # Unix seconds; far from all times that are meant, and no float is lost
_TIMES = ("time_after_header_validate", "time_before_operate", "time_after_operate", "time_before_send")


class Latencies:
    """Medians of the newest tracked messages."""

    def __init__(self) -> None:
        self._kept: dict[str, deque[float]] = {}

    def take(self, entries: Any) -> None:
        """Take a list of times; what is no such list is left out.

        Parameters
        ----------
        entries : Any
            As it came: objects with the operator's name as `id` and Unix times in seconds, in the order of the
            message's way; an operator may have several.
        """
        if not isinstance(entries, list):
            return
        sender, sent_at = "", None
        for entry in entries[:_MOST_ENTRIES]:
            if not isinstance(entry, dict) or not isinstance(entry.get("id"), str):
                return
            name = entry["id"][:_LONGEST_NAME]
            arrived_at, began_at, ended_at, left_at = (_time(entry, key) for key in _TIMES)
            if sent_at is not None and arrived_at is not None:
                self._add(f"{sender} -> {name}", arrived_at - sent_at)
                sent_at = None
            if began_at is not None and ended_at is not None:
                self._add(name, ended_at - began_at)
            if left_at is not None:
                sender, sent_at = name, left_at

    def as_dict(self) -> dict[str, float]:
        """Return the medians in milliseconds, by hop and operator."""
        return {name: round(median(kept) * 1e3, 3) for name, kept in self._kept.items()}

    def _add(self, name: str, seconds: float) -> None:
        if name in self._kept or len(self._kept) < _MOST_NAMES:
            self._kept.setdefault(name, deque(maxlen=_KEPT)).append(max(0.0, seconds))


def _time(entry: Mapping[str, Any], key: str) -> float | None:
    value = entry.get(key)
    return float(value) if isinstance(value, int | float) and abs(value) < _LATEST else None
