"""The ledger of a live run: what became of every message and every event that was read.

Each event stands in exactly one event column, each message in exactly one message column. A message that could
not be decoded has no events that could be counted; it stands in `messages_malformed` or `messages_foreign`.

The event columns are tried in this order: duplicate, before start, after stop, unknown period, unknown
detector, out of TOF range, without pixel, counted.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields

EVENT_COLUMNS = (
    "events_counted",
    "events_without_pixel",
    "events_before_start",
    "events_after_stop",
    "events_unknown_period",
    "events_unknown_detector",
    "events_out_of_tof_range",
    "events_duplicate",
)
MESSAGE_COLUMNS = ("messages_taken", "messages_duplicate", "messages_malformed", "messages_foreign")


@dataclass
class Ledger:
    """Totals of one live run, all of them numbers of messages or of events.

    Attributes
    ----------
    messages_read : int
        Messages read from the topic, the sum of the four message columns.
    messages_taken : int
        Event messages whose events were looked at.
    messages_duplicate : int
        Event messages seen before (same source, message id and pulse time).
    messages_malformed : int
        Messages that are not readable: their events are lost.
    messages_foreign : int
        Readable messages of another kind than events.
    messages_unjudged : int
        Of those taken: older than the memory of the duplicate filter, so that they may be duplicates.
    events_read : int
        Events in readable event messages, the sum of the eight event columns.
    events_counted : int
        Events in every view.
    events_without_pixel : int
        Events of messages that carry no detector ids: in the TOF spectrum only.
    events_before_start, events_after_stop : int
        Events whose pulse lies outside `[start, stop)`.
    events_unknown_period, events_unknown_detector, events_out_of_tof_range : int
        Events of the run that no view has a place for.
    events_duplicate : int
        Events of duplicate messages.
    missing_message_ids : int
        Ids that no message of the run carries, between two that do.
    source_restarts : int
        Times that a source began to number its messages anew.
    """

    messages_read: int = 0
    messages_taken: int = 0
    messages_duplicate: int = 0
    messages_malformed: int = 0
    messages_foreign: int = 0
    messages_unjudged: int = 0
    events_read: int = 0
    events_counted: int = 0
    events_without_pixel: int = 0
    events_before_start: int = 0
    events_after_stop: int = 0
    events_unknown_period: int = 0
    events_unknown_detector: int = 0
    events_out_of_tof_range: int = 0
    events_duplicate: int = 0
    missing_message_ids: int = 0
    source_restarts: int = 0

    def as_dict(self) -> dict[str, int]:
        """Return the columns by name, in the order of declaration."""
        return asdict(self)

    @classmethod
    def from_dict(cls, columns: dict[str, int]) -> Ledger:
        """Return the ledger that `as_dict` gave; an unknown or missing column is a TypeError."""
        if missing := {f.name for f in fields(cls)} - set(columns):
            raise TypeError(f"The ledger lacks the columns {sorted(missing)}.")
        return cls(**columns)


def imbalances(ledger: dict[str, int]) -> list[str]:
    """Return a sentence for each sum of the ledger that does not add up; empty if all do."""
    sentences = []
    for total, columns in (("events_read", EVENT_COLUMNS), ("messages_read", MESSAGE_COLUMNS)):
        added = sum(ledger[column] for column in columns)
        if added != ledger[total]:
            sentences.append(f"{total} is {ledger[total]:,}, but its columns add up to {added:,}.")
    sentences += [f"{name} is negative: {value:,}." for name, value in ledger.items() if value < 0]
    return sentences
