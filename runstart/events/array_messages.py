"""What is published about counts: arrays with named axes (da00) and histograms with edges (hs00, hs01).

A message equals another of the same type with equal fields and arrays of equal type and content; NaN equals NaN.
These messages hold arrays and cannot be hashed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from numpy.typing import NDArray

from runstart.events._equality import same_fields

__all__ = ["DataArrayMessage", "HistogramAxis", "HistogramMessage", "Variable"]


@dataclass(frozen=True, slots=True, eq=False)
class Variable:
    """One named array of a `DataArrayMessage`."""

    name: str
    """What it is to the message: `signal` and `errors`, or the name of the axis that it gives the places of."""
    data: NDArray[Any] | str
    """Integers of 8 to 64 bits or floats of 32 or 64, in any shape; or a text."""
    axes: tuple[str, ...] = ()
    """Name of each dimension; empty means that they have no names."""
    unit: str | None = None
    """Unit of the data; None means that none was sent."""
    label: str | None = None
    """How to title it in a plot; None means that none was sent."""
    source: str | None = None
    """Where it comes from; None means that none was sent."""

    def __eq__(self, other: object) -> bool:
        return same_fields(self, other) if type(other) is type(self) else NotImplemented

    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True, slots=True, eq=False)
class DataArrayMessage:
    """An array with its axes at one time (da00)."""

    source_name: str
    """What publishes it; a subscriber chooses by it."""
    time_ns: int
    """When it was true, in nanoseconds since 1970 UTC."""
    variables: tuple[Variable, ...]
    """The array and what belongs to it; at least one."""

    def __eq__(self, other: object) -> bool:
        return same_fields(self, other) if type(other) is type(self) else NotImplemented

    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True, slots=True, eq=False)
class HistogramAxis:
    """One dimension of a `HistogramMessage`."""

    length: int
    """Bins of the whole histogram along this dimension."""
    edges: NDArray[Any] | None = None
    """Edges of the bins, shape (length + 1,); None means that none were sent."""
    unit: str = ""
    """Unit of the edges."""
    label: str = ""
    """What is binned."""

    def __eq__(self, other: object) -> bool:
        return same_fields(self, other) if type(other) is type(self) else NotImplemented

    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True, slots=True, eq=False)
class HistogramMessage:
    """A histogram, or a rectangular part of one (hs00: unsigned numbers, hs01: signed)."""

    schema: Literal["hs00", "hs01"]
    """The schema that the message came in."""
    source_name: str
    """What publishes it."""
    time_ns: int
    """When it was true, in nanoseconds since 1970 UTC (hs00: not negative)."""
    axes: tuple[HistogramAxis, ...]
    """Its dimensions; at least one."""
    counts: NDArray[Any]
    """The part that was sent, with as many dimensions: 32 or 64 bits, integers or floats."""
    errors: NDArray[Any] | None = None
    """Errors of the counts, in the same shape; None means that none were sent."""
    offset: tuple[int, ...] | None = None
    """Where the part begins in the whole, one number a dimension; None means at its origin."""
    metadata_time_ns: int = 0
    """When the axes changed last, in nanoseconds since 1970 UTC; 0 means that the message does not say."""
    info: str = ""
    """Whatever the sender adds."""

    def __eq__(self, other: object) -> bool:
        return same_fields(self, other) if type(other) is type(self) else NotImplemented

    __hash__ = None  # type: ignore[assignment]
