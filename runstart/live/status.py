"""What a live run tells about itself while it counts."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Protocol

from runstart.live.accumulation import Accumulation


@dataclass(frozen=True)
class Status:
    """The figures of a live run at one moment.

    Attributes
    ----------
    phase : str
        `counting`, `closing` (the stop is known, the grace period runs) or `finishing` (offsets are frozen).
    events_in_views : int
        Events in the TOF spectrum.
    events_per_second : float
        Added to the views since the last status.
    lag_seconds : float
        Age of the newest message added, by Kafka's clock; 0 when every message that exists has been added.
    proton_charge_uah : float
        Proton charge of the run's pulses, in microampere hours.
    ledger : dict of str to int
        See `runstart.live.ledger.Ledger`.
    next_offsets : dict of int to int
        Next offset of each partition.
    snapshots : int
        Snapshots written by this process.
    """

    phase: str
    events_in_views: int
    events_per_second: float
    lag_seconds: float
    proton_charge_uah: float
    ledger: dict[str, int]
    next_offsets: dict[int, int]
    snapshots: int

    def as_dict(self) -> dict[str, Any]:
        """Return the figures by name."""
        return asdict(self)


class Reporter(Protocol):
    """Where a live run tells what happens; all calls come from the run's own thread."""

    def remark(self, text: str) -> None:
        """Tell one thing that the user should know."""

    def status(self, status: Status, accumulation: Accumulation) -> None:
        """Show the figures; called every `display_interval`, must return at once."""


class Silent:
    """A reporter that tells nobody."""

    def remark(self, text: str) -> None:
        """Drop it."""

    def status(self, status: Status, accumulation: Accumulation) -> None:
        """Drop it."""
