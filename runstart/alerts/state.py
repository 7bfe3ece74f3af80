"""What the alerts sensor remembers from tick to tick, as text of bounded size in its cursor."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from runstart.alerts.judging import Known, Memory
from runstart.alerts.outbox import Outbox, Owed

VERSION = 1


@dataclass(frozen=True)
class AlertsState:
    """Conditions that people know of, what channels owe, and how far Dagster's events were read.

    Attributes
    ----------
    memory : dict of str to Known
        See `runstart.alerts.judge`.
    outbox : dict of str to Owed
        See `runstart.alerts.outbox`.
    read_up_to : int or None
        Storage id of the last Dagster event looked at; None before the first look.
    """

    memory: Memory = field(default_factory=dict)
    outbox: Outbox = field(default_factory=dict)
    read_up_to: int | None = None

    def to_json(self) -> str:
        """Return the state as text."""
        return json.dumps(
            {
                "version": VERSION,
                "memory": [known.as_dict() for known in self.memory.values()],
                "outbox": {channel: owed.as_dict() for channel, owed in self.outbox.items()},
                "read_up_to": self.read_up_to,
            },
            separators=(",", ":"),
            ensure_ascii=False,
        )

    @classmethod
    def from_json(cls, text: str | None) -> AlertsState:
        """Return the state of a text; a fresh one for None or an empty text.

        Raises
        ------
        ValueError
            If another version wrote it.
        """
        if not text:
            return cls()
        fields = json.loads(text)
        if fields["version"] != VERSION:
            raise ValueError(
                f"The cursor has version {fields['version']!r}, and this code reads version {VERSION}."
            )
        known = [Known.from_dict(entry) for entry in fields["memory"]]
        return cls(
            {entry.condition.identity: entry for entry in known},
            {channel: Owed.from_dict(owed) for channel, owed in fields["outbox"].items()},
            fields["read_up_to"],
        )
