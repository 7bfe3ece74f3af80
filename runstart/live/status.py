"""What a live run tells about itself while it counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from runstart.live.accumulation import Accumulation

if TYPE_CHECKING:
    from runstart.live.script_run import ShownOutcome
    from runstart.logs import LogSeries

LogsSoFar: TypeAlias = "Callable[[], Mapping[str, LogSeries]]"
"""Asks for copies of all logs of the run; may be called in any thread."""


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
    snapshot_age_seconds, snapshot_bytes : float and int, or None
        Of the last of them.
    script : dict or None
        Of the last execution of the reduction script: its SHA-256, when it was, how long it took, error, isolation.
    collectors : dict of str to dict
        For each collector the number of its samples, and what is wrong with it or None.
    troubles : list of dict
        What a person should look at: kind, name and text of each.
    """

    phase: str
    events_in_views: int
    events_per_second: float
    lag_seconds: float
    proton_charge_uah: float
    ledger: dict[str, int]
    next_offsets: dict[int, int]
    snapshots: int
    snapshot_age_seconds: float | None = None
    snapshot_bytes: int | None = None
    script: dict[str, Any] | None = None
    collectors: dict[str, dict[str, Any]] = field(default_factory=dict)
    troubles: list[dict[str, str]] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return the figures by name."""
        return asdict(self)


class Reporter(Protocol):
    """Where a live run tells what happens; all calls come from the run's own thread."""

    def remark(self, text: str) -> None:
        """Tell one thing that the user should know."""

    def status(self, status: Status, accumulation: Accumulation, logs: LogsSoFar) -> None:
        """Show figures, counts and, where they are asked for, logs; called every `display_interval`, returns at once."""

    def script(self, shown: ShownOutcome) -> None:
        """Show what the reduction script made; must return at once."""


class Silent:
    """A reporter that tells nobody."""

    def remark(self, text: str) -> None:
        """Drop it."""

    def status(self, status: Status, accumulation: Accumulation, logs: LogsSoFar) -> None:
        """Drop it."""

    def script(self, shown: ShownOutcome) -> None:
        """Drop it."""
