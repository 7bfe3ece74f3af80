"""Decides what people are told: once when a condition begins, again while it lasts, and when it is over.

A condition that is seen again within `settle_seconds` of being gone was never gone, so that a figure that swings
about its limit is told once. Failures last until something resolves them, or until they are forgotten. Kinds that
cannot be looked at now are left as they are. At most `MOST_CONDITIONS` are kept; how many more there are is a
condition of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from runstart.alerts.conditions import LASTING_KINDS, Condition, Notice

MOST_CONDITIONS = 100  # each takes at most 2 kB, and its notice as much again for each channel
FORGET_SECONDS = 30 * 86_400.0
ENDS_UNTOLD = frozenset({"gap", "more", "test"})  # that the run has ended does not fill its gap


@dataclass(frozen=True)
class Policy:
    """How often people are told.

    Attributes
    ----------
    remind_seconds : float
        From one notice about a condition to the next while it lasts.
    reminders : int
        How many reminders a condition gets at most.
    settle_seconds : float
        How long a condition must be gone to be over.
    """

    remind_seconds: float = 4 * 3600.0
    reminders: int = 6
    settle_seconds: float = 60.0


@dataclass(frozen=True)
class Known:
    """A condition that people were told of.

    Attributes
    ----------
    condition : Condition
        As it was seen last.
    told_at, seen_at : float
        Time of the newest notice, and of the newest sighting, in s since 1970.
    reminders : int
        How many reminders it had.
    """

    condition: Condition
    told_at: float
    seen_at: float
    reminders: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name."""
        return {
            "condition": self.condition.as_dict(),
            "told_at": self.told_at,
            "seen_at": self.seen_at,
            "reminders": self.reminders,
        }

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Known:
        """Return what `as_dict` gave."""
        return cls(**{**fields, "condition": Condition(**fields["condition"])})


@dataclass(frozen=True)
class Sighting:
    """What one look found.

    Attributes
    ----------
    conditions : sequence of Condition
        What is wrong now. One of a lasting kind needs to be seen only once.
    resolved : frozenset of str
        Identities of conditions of lasting kinds that are over.
    unseen_kinds : frozenset of str
        Kinds that could not be looked at.
    """

    conditions: tuple[Condition, ...] = ()
    resolved: frozenset[str] = field(default_factory=frozenset)
    unseen_kinds: frozenset[str] = field(default_factory=frozenset)


Memory = dict[str, Known]


def judge(
    memory: Mapping[str, Known], sighting: Sighting, now: float, policy: Policy
) -> tuple[Memory, list[Notice]]:
    """Return what to remember, and what to tell people.

    Parameters
    ----------
    memory : mapping of str to Known
        What the last call returned; empty at first.
    sighting : Sighting
        What is wrong now; the order of its conditions does not matter.
    now : float
        Time in s since 1970.
    policy : Policy
        How often to tell.

    Returns
    -------
    memory : dict of str to Known
        Conditions by identity, at most `MOST_CONDITIONS` and one.
    notices : list of Notice
        At most one for each condition, sorted by the time that the condition began.
    """
    seen = _bounded(memory, _by_identity(sighting.conditions))
    kept: Memory = {}
    notices: list[Notice] = []
    for identity, condition in seen.items():
        known = memory.get(identity)
        if known is None:
            kept[identity] = Known(condition, now, now)
            notices.append(Notice(condition, "new"))
        else:
            since = min(known.condition.since, condition.since)
            again = condition.kind in LASTING_KINDS  # it happened once more, and deserves reminders anew
            reminders = 0 if again else known.reminders
            kept[identity] = Known(replace(condition, since=since), known.told_at, now, reminders)
    for identity, known in memory.items():
        if identity in seen:
            continue
        if identity in sighting.resolved or _is_gone(known, sighting, now, policy):
            if known.condition.kind not in ENDS_UNTOLD:
                notices.append(Notice(known.condition, "over"))
        elif now - known.seen_at <= FORGET_SECONDS:
            kept[identity] = known
    notices += _remind(kept, now, policy)
    return kept, sorted(notices, key=lambda n: (n.condition.since, n.condition.identity))


def _by_identity(conditions: Iterable[Condition]) -> dict[str, Condition]:
    """Return conditions by identity; of two with the same the one that began last, whatever the order."""
    ordered = sorted(conditions, key=lambda c: (c.since, c.text, c.link))
    return {condition.identity: condition for condition in ordered}


def _bounded(memory: Mapping[str, Known], found: dict[str, Condition]) -> dict[str, Condition]:
    """Return the known conditions and as many new ones as there is room for, with one for the rest."""
    new = sorted((c for i, c in found.items() if i not in memory), key=lambda c: (c.since, c.identity))
    room = max(0, MOST_CONDITIONS - len(memory))
    left_out = new[room:]
    if not left_out:
        return found
    text = f"{len(left_out)} more conditions, of which the first is: {left_out[0].text}"
    more = Condition("more", "", "", text, left_out[0].since, left_out[0].link)
    kept = {i: c for i, c in found.items() if i in memory} | {c.identity: c for c in new[:room]}
    return kept | {more.identity: more}


def _is_gone(known: Known, sighting: Sighting, now: float, policy: Policy) -> bool:
    kind = known.condition.kind
    if kind in LASTING_KINDS or kind in sighting.unseen_kinds:
        return False
    return now - known.seen_at >= policy.settle_seconds


def _remind(kept: Memory, now: float, policy: Policy) -> list[Notice]:
    """Return the reminders that are due, and note them."""
    notices = []
    for identity, known in kept.items():
        if now - known.told_at >= policy.remind_seconds and known.reminders < policy.reminders:
            kept[identity] = replace(known, told_at=now, reminders=known.reminders + 1)
            notices.append(Notice(known.condition, "reminder"))
    return notices
