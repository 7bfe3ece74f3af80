"""The samples of one log in ascending order of time, 20 bytes each, never two of the same time."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left

import numpy as np

from runstart.logs.model import LogSeries, Sample

_MOST_STATUSES = 1000  # texts a log; what else its source says is not kept
_SHORTEST = 64


class Log:
    """One log; not safe among threads.

    Parameters
    ----------
    name : str
        The log.
    most : int
        Samples from which on it is thinned.
    """

    def __init__(self, name: str, most: int) -> None:
        self.name = name
        self.most = max(most, _SHORTEST)
        self.unit = self.source = ""
        self.thinned = 0
        self.time_ns = array("q")
        self.values: array[float] | list[str] = array("d")
        self.severity = array("b")
        self._status = array("H")
        self._statuses: dict[str, int] = {"": 0}
        self._kind_known = False
        self.new: array[int] | None = array("q")
        """Times of samples that are not stored yet; None means all."""

    def __len__(self) -> int:
        return len(self.time_ns)

    def holds(self, time_ns: int) -> bool:
        """Tell whether there is a sample of that time."""
        place = bisect_left(self.time_ns, time_ns)
        return place < len(self.time_ns) and self.time_ns[place] == time_ns

    def accepts(self, value: float | str) -> bool:
        """Tell whether a value is of the log's kind: a text is no value of a log of numbers."""
        return not (isinstance(value, str) and value and self._kind_known and isinstance(self.values, array))

    def insert(self, sample: Sample) -> None:
        """Add a sample of a new time, whose value is accepted."""
        self._settle_kind(sample.value)
        place = bisect_left(self.time_ns, sample.time_ns)
        self.time_ns.insert(place, sample.time_ns)
        if isinstance(self.values, list):
            self.values.insert(place, _text(sample.value))
        else:
            self.values.insert(place, math.nan if isinstance(sample.value, str) else float(sample.value))
        self.severity.insert(place, int(sample.severity))
        self._status.insert(place, self._status_code(sample.status))
        self.describe(sample.unit, sample.source)
        if self.new is not None:
            self.new.append(sample.time_ns)
            if len(self.new) > self.most:
                self.new = None
        if len(self) > self.most:
            self._thin()

    def extend(self, series: LogSeries) -> bool:
        """Add samples that are stored already and newer than all others, if they fit; return False if they do not."""
        if len(self) + len(series) > self.most or not self._settle_kind_for(series.values):
            return False
        self.time_ns.frombytes(np.asarray(series.time_ns, np.int64).tobytes())
        if isinstance(self.values, list):
            self.values.extend(series.values)
        else:
            self.values.frombytes(np.asarray(series.values, np.float64).tobytes())
        self.severity.frombytes(np.asarray(series.severity, np.int8).tobytes())
        statuses = series.status or ("",) * len(series)
        self._status.extend(self._status_code(status) for status in statuses)
        return True

    def describe(self, unit: str, source: str) -> None:
        """Note unit and source, if they are known and new; the newest sample is stored with them once more."""
        told = (unit or self.unit, source or self.source)
        if told == (self.unit, self.source):
            return
        self.unit, self.source = told
        if self.new is not None and len(self):
            self.new.append(self.time_ns[-1])

    def remove(self, place: int) -> None:
        """Remove the sample at a place."""
        self._keep(np.arange(len(self)) != place)

    def cut(self, stop_time_ns: int) -> int:
        """Remove the samples at or after a time, and return how many there were."""
        before = len(self)
        self._keep(np.arange(before) < bisect_left(self.time_ns, stop_time_ns))
        return before - len(self)

    def series(self, times_ns: array[int] | None = None) -> LogSeries:
        """Return a copy of all samples, or of those of certain times that are still there."""
        kept = np.arange(len(self))
        if times_ns is not None:
            kept = np.nonzero(np.isin(np.array(self.time_ns, np.int64), np.array(times_ns, np.int64)))[0]
        values = (
            tuple(self.values[i] for i in kept)
            if isinstance(self.values, list)
            else np.array(self.values, np.float64)[kept]
        )
        return LogSeries(
            name=self.name,
            time_ns=np.array(self.time_ns, np.int64)[kept],
            values=values,
            severity=np.array(self.severity, np.int8)[kept],
            unit=self.unit,
            source=self.source,
            status=self._status_texts(np.array(self._status, np.uint16)[kept]),
            thinned=self.thinned,
        )

    def _settle_kind(self, value: float | str) -> None:
        """Let the first value that is known decide whether this is a log of texts."""
        known = bool(value) if isinstance(value, str) else not math.isnan(value)
        if self._kind_known or not known:
            return
        self._kind_known = True
        if isinstance(value, str):
            self.values = [""] * len(self.time_ns)

    def _settle_kind_for(self, values: np.typing.NDArray[np.float64] | tuple[str, ...]) -> bool:
        """Settle the kind by values of one kind, and return whether they are of the log's without a change."""
        if not isinstance(values, tuple):
            if isinstance(self.values, list):
                return False
            self._kind_known = self._kind_known or not np.isnan(values).all()
            return True
        if not self._kind_known:
            self._settle_kind(next(filter(None, values), ""))
        return isinstance(self.values, list)

    def _status_code(self, status: str) -> int:
        if len(self._statuses) >= _MOST_STATUSES:
            return self._statuses.get(status, 0)
        return self._statuses.setdefault(status, len(self._statuses))

    def _status_texts(self, codes: np.typing.NDArray[np.uint16]) -> tuple[str, ...]:
        if not codes.any():
            return ()
        return tuple(np.array(list(self._statuses), object)[codes])

    def _thin(self) -> None:
        """Leave out half of the samples within each stretch of one severity; of all, if that is not enough."""
        before = len(self)
        severity = np.array(self.severity, np.int8)
        kept = np.arange(before) % 2 == 0
        kept[[0, -1]] = True
        within = kept.copy()
        changes = np.nonzero(np.diff(severity))[0]
        within[changes] = within[changes + 1] = True
        self._keep(within if within.sum() <= 0.75 * self.most else kept)
        self.thinned += before - len(self)

    def _keep(self, kept: np.typing.NDArray[np.bool_]) -> None:
        if kept.all():
            return
        self.time_ns = array("q", np.array(self.time_ns, np.int64)[kept].tobytes())
        if isinstance(self.values, list):
            self.values = [value for value, keep in zip(self.values, kept, strict=True) if keep]
        else:
            self.values = array("d", np.array(self.values, np.float64)[kept].tobytes())
        self.severity = array("b", np.array(self.severity, np.int8)[kept].tobytes())
        self._status = array("H", np.array(self._status, np.uint16)[kept].tobytes())


def _text(value: float | str) -> str:
    if isinstance(value, str):
        return value
    return "" if math.isnan(value) else f"{value:.15g}"
