"""What a log is made of: samples as collectors record them, and series as files, pictures and scripts see them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runstart.events import Severity

__all__ = ["LogSeries", "Sample"]


@dataclass(frozen=True, slots=True)
class Sample:
    """One value of one log at one time."""

    name: str
    """The log: any text."""
    time_ns: int
    """When the value was so, nanoseconds since 1970 UTC."""
    value: float | str
    """A number or a text; NaN (or an empty text) where nobody knows."""
    severity: Severity = Severity.OK
    """How far the value can be trusted."""
    unit: str = ""
    """Unit as its source writes it; empty if it has or knows none."""
    status: str = ""
    """Why it has that severity, in a word or two of its source."""
    source: str = ""
    """Where it comes from, such as the name of a PV."""


@dataclass(frozen=True, slots=True, eq=False)
class LogSeries:
    """All that is known of one log; the first sample may be older than the run: the value at its start."""

    name: str
    """The log: any text."""
    time_ns: NDArray[np.int64]
    """Nanoseconds since 1970 UTC, shape (n,), strictly ascending."""
    values: NDArray[np.float64] | tuple[str, ...]
    """n numbers, NaN where nobody knows, or n texts, empty where nobody knows."""
    severity: NDArray[np.int8]
    """`runstart.events.Severity` of each, shape (n,)."""
    unit: str = ""
    """Unit as its source writes it."""
    source: str = ""
    """Where it comes from, such as the name of a PV."""
    status: tuple[str, ...] = ()
    """Why each has its severity: n texts, or none if no source said anything."""
    thinned: int = 0
    """Samples that were left out because there were too many; see `runstart.logs.LogBook`."""

    @property
    def is_text(self) -> bool:
        """Whether its values are texts."""
        return isinstance(self.values, tuple)

    def __len__(self) -> int:
        return int(self.time_ns.size)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, LogSeries):
            return NotImplemented
        words = ("name", "unit", "source", "status", "thinned")
        return (
            all(getattr(self, word) == getattr(other, word) for word in words)
            and np.array_equal(self.time_ns, other.time_ns)
            and np.array_equal(self.severity, other.severity)
            and _same_values(self.values, other.values)
        )

    __hash__ = None  # type: ignore[assignment]


def _same_values(left: NDArray[np.float64] | tuple[str, ...], right: NDArray[np.float64] | tuple[str, ...]) -> bool:
    if isinstance(left, tuple) or isinstance(right, tuple):
        return left is right or (isinstance(left, tuple) and isinstance(right, tuple) and left == right)
    return bool(np.array_equal(left, right, equal_nan=True))
