"""A condition is something wrong that people can mend; a notice is what they are sent about it.

Texts come from anywhere (a run's name, an exception of a script), so they are cleaned when a condition is made:
one line, no control characters, bounded length.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal

Kind = Literal[
    "failed_run",
    "failed_check",
    "lag",
    "gap",
    "script_failing",
    "collector_trouble",
    "snapshot_age",
    "silence",
    "more",
    "test",
]
NoticeState = Literal["new", "reminder", "over"]

LASTING_KINDS: frozenset[str] = frozenset({"failed_run", "failed_check"})
"""Kinds that last until something better happens; the others last as long as they are seen."""

LONGEST_TEXT = 400  # characters; all conditions and notices must fit into a sensor's cursor
LONGEST_NAME = 200
LONGEST_LINK = 500


@dataclass(frozen=True)
class Condition:
    """Something wrong that people can mend.

    Attributes
    ----------
    kind : str
        One of `Kind`.
    instrument : str
        Name of the instrument, or empty if it is not an instrument's.
    partition_key : str
        Key of the run, or the job's name if it has none.
    text : str
        What is wrong, in a sentence.
    since : float
        When it began, in s since 1970.
    link : str
        Page to look at; empty if there is none.
    subject : str
        Which of several: name of the check, the script or the collector.
    """

    kind: str
    instrument: str
    partition_key: str
    text: str
    since: float
    link: str = ""
    subject: str = ""

    def __post_init__(self) -> None:
        for name, limit in (
            ("instrument", LONGEST_NAME),
            ("partition_key", LONGEST_NAME),
            ("subject", LONGEST_NAME),
            ("text", LONGEST_TEXT),
            ("link", LONGEST_LINK),
        ):
            object.__setattr__(self, name, one_line(getattr(self, name), limit))

    @property
    def identity(self) -> str:
        """The text by which a condition is known again."""
        return identify(self.kind, self.instrument, self.partition_key, self.subject)

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name."""
        return asdict(self)


@dataclass(frozen=True)
class Notice:
    """What people are sent about a condition.

    Attributes
    ----------
    condition : Condition
        What it is about.
    state : str
        `new`, `reminder` or `over`.
    """

    condition: Condition
    state: NoticeState

    def as_payload(self) -> dict[str, str]:
        """Return what a webhook gets: kind, instrument, run, subject, text, link, state, since (ISO 8601, UTC)."""
        condition = self.condition
        return {
            "kind": condition.kind,
            "instrument": condition.instrument,
            "run": condition.partition_key,
            "subject": condition.subject,
            "text": condition.text,
            "link": condition.link,
            "state": self.state,
            "since": tell_time(condition.since),
        }

    def after(self, earlier: Notice | None) -> Notice:
        """Return the one notice that says what this one and an earlier one that was not sent say together."""
        if earlier is not None and earlier.state == "new" and self.state == "reminder":
            return replace(self, state="new")
        return self


def identify(kind: str, instrument: str, partition_key: str, subject: str = "") -> str:
    """Return the text by which a condition is known again."""
    return "\n".join(one_line(part, LONGEST_NAME) for part in (kind, instrument, partition_key, subject))


def one_line(text: str, limit: int) -> str:
    """Return a text as one line of printable characters that UTF-8 can carry, at most `limit` of them."""
    carried = text.encode("utf-8", "replace").decode()
    line = " ".join("".join(c if c.isprintable() else " " for c in carried[: 4 * limit]).split())
    return line if len(line) <= limit else line[: limit - 3] + "..."


def tell_time(seconds: float) -> str:
    """Return a time in s since 1970 in ISO 8601, UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
