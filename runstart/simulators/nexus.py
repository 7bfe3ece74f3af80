"""Reads neutron events from NeXus files of ISIS (`raw_data_1/*_events`) and SNS (`entry/bank*_events`).

Every NXevent_data group of the first NXentry that has any is one source. Times become integers once, here: a
time of flight in nanoseconds is `rint(float64(event_time_offset) * nanoseconds_per_unit)`, so that
microseconds in float32 become `rint(float64(offset_us) * 1000)`; a pulse time is the offset's time in
nanoseconds since 1970 plus `rint(float64(event_time_zero) * nanoseconds_per_unit)`. Dates without a time zone
are taken as UTC.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from runstart.errors import Alert

_NANOSECONDS = {
    "ns": 1, "nanosecond": 1,
    "us": 10**3, "microsecond": 10**3, "\N{MICRO SIGN}s": 10**3, "\N{GREEK SMALL LETTER MU}s": 10**3,
    "ms": 10**6, "millisecond": 10**6,
    "s": 10**9, "sec": 10**9, "second": 10**9,
}  # fmt: skip
_PICOCOULOMB_PER_MICROAMPERE_HOUR = 3.6e9
_YEAR_2000_NS = 946_684_800 * 10**9  # relative times are shorter, absolute ones are later
_MAX_EV42_TOF_NS = 4_294_967_295
_DATE = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:\.(\d+))?(Z|[+-]\d\d:?\d\d)?")


@dataclass(frozen=True, slots=True)
class EventSource:
    """The events of one NXevent_data group, pulse by pulse in the order of time.

    Parameters
    ----------
    name : str
        Name of the group, which becomes the source name of messages.
    pulse_time_ns : int64[n_pulses]
        Nanoseconds since 1970.
    pulse_index : int64[n_pulses]
        First event of each pulse, which ends where the next begins.
    time_of_flight_ns : uint32[n_events]
    detector_id : uint32[n_events] or None
        None for a monitor without pixels.
    proton_charge : float64[n_pulses]
        Microampere hours; 0 where the file does not tell.
    period : int64[n_pulses]
        Index of the period, counted from 0.
    """

    name: str
    pulse_time_ns: NDArray[np.int64]
    pulse_index: NDArray[np.int64]
    time_of_flight_ns: NDArray[np.uint32]
    detector_id: NDArray[np.uint32] | None
    proton_charge: NDArray[np.float64]
    period: NDArray[np.int64]

    @property
    def n_events(self) -> int:
        """Number of events."""
        return self.time_of_flight_ns.size


@dataclass(frozen=True, slots=True)
class EventFile:
    """A run that a NeXus file holds.

    Parameters
    ----------
    instrument_name : str
        What the file says, or "".
    run_number : int or None
        What the file says.
    title : str
        What the file says, or "".
    n_periods : int
    sources : tuple of EventSource
        At least one, each with at least one pulse.
    """

    instrument_name: str
    run_number: int | None
    title: str
    n_periods: int
    sources: tuple[EventSource, ...]

    @property
    def n_events(self) -> int:
        """Number of events of all sources."""
        return sum(source.n_events for source in self.sources)

    @property
    def first_pulse_ns(self) -> int:
        """Time of the earliest pulse, nanoseconds since 1970."""
        return min(int(source.pulse_time_ns[0]) for source in self.sources)

    @property
    def last_pulse_ns(self) -> int:
        """Time of the latest pulse, nanoseconds since 1970."""
        return max(int(source.pulse_time_ns[-1]) for source in self.sources)


def read_nexus_events(path: str | os.PathLike[str]) -> EventFile:
    """Read all events of a NeXus file.

    Groups without a pulse are left out, as are groups without an event if any other has one.

    Parameters
    ----------
    path : str or os.PathLike
        An HDF5 file with NXevent_data groups.

    Returns
    -------
    EventFile

    Raises
    ------
    Alert
        The file is not there, is not HDF5, holds no events, or contradicts itself.
    """
    path = Path(path)
    try:
        with h5py.File(path, "r") as file:
            return _read_file(path, file)
    except OSError as error:
        raise Alert(f"{path}: cannot be read as HDF5 ({error}).", "Name a NeXus event file.") from error


def _read_file(path: Path, file: h5py.File) -> EventFile:
    for entry in _entries(file):
        groups = list(_event_groups(entry))
        if groups:
            break
    else:
        raise Alert(
            f"{path}: holds no NXevent_data group.",
            "Name a file with events, such as raw_data_1/detector_1_events or entry/bank1_events.",
        )
    sources = [_read_source(path, entry, group) for group in groups]
    sources = [source for source in sources if source.pulse_time_ns.size]
    if not sources:
        raise Alert(f"{path}: its event groups hold no pulse.", "Name a file with events.")
    if any(source.n_events for source in sources):
        sources = [source for source in sources if source.n_events]
    run_number = _text(entry, "run_number")
    return EventFile(
        instrument_name=_text(entry, "name") or _text(entry, "instrument/name"),
        run_number=int(run_number) if run_number.isdigit() else None,
        title=_text(entry, "title"),
        n_periods=_period_count(entry, sources),
        sources=tuple(sources),
    )


def _entries(file: h5py.File) -> Iterator[h5py.Group]:
    for group in file.values():
        if isinstance(group, h5py.Group) and _as_text(group.attrs.get("NX_class", "NXentry")) == "NXentry":
            yield group


def _event_groups(entry: h5py.Group) -> Iterator[h5py.Group]:
    found: list[str] = []

    def visit(name: str, node: object) -> None:
        if isinstance(node, h5py.Group) and {"event_time_offset", "event_time_zero", "event_index"} <= set(node):
            declared = _as_text(node.attrs.get("NX_class", ""))
            if declared == "NXevent_data" or (not declared and name.endswith("_events")):
                found.append(name)

    entry.visititems(visit)
    return (entry[name] for name in found)


def _read_source(path: Path, entry: h5py.Group, group: h5py.Group) -> EventSource:
    where = f"{path}: {group.name}"
    time_of_flight_ns = _scaled(where, group["event_time_offset"], "microsecond")
    outside = np.count_nonzero((time_of_flight_ns < 0) | (time_of_flight_ns > _MAX_EV42_TOF_NS))
    if outside:
        raise Alert(
            f"{where}/event_time_offset: {outside} times of flight are negative or beyond 4.29 s.",
            "Correct its units attribute, or leave those events out of the file.",
        )
    detector_id = _detector_ids(where, group, time_of_flight_ns.size)
    pulse_time_ns = _pulse_times(where, entry, group["event_time_zero"])
    begin = _pulse_index(where, group["event_index"], pulse_time_ns.size, time_of_flight_ns.size)
    charge = _proton_charge(entry, pulse_time_ns)
    period = _periods(entry, pulse_time_ns.size)
    if np.any(np.diff(pulse_time_ns) < 0):
        order = np.argsort(pulse_time_ns, kind="stable")
        pulse_time_ns, charge, period = pulse_time_ns[order], charge[order], period[order]
        events, begin = _reorder_events(begin, time_of_flight_ns.size, order)
        time_of_flight_ns = time_of_flight_ns[events]
        detector_id = None if detector_id is None else detector_id[events]
    return EventSource(
        name=str(group.name).rsplit("/", 1)[-1],
        pulse_time_ns=pulse_time_ns,
        pulse_index=begin,
        time_of_flight_ns=time_of_flight_ns.astype(np.uint32),
        detector_id=detector_id,
        proton_charge=charge,
        period=period,
    )


def _pulse_index(where: str, dataset: h5py.Dataset, n_pulses: int, n_events: int) -> NDArray[np.int64]:
    index = np.atleast_1d(dataset[()]).astype(np.int64)
    if index.size != n_pulses:
        raise Alert(f"{where}: has {index.size} indices for {n_pulses} pulses.", "Repair the file.")
    if index.size and (index[0] != 0 or np.any(np.diff(index) < 0) or index[-1] > n_events):
        raise Alert(f"{where}/event_index: does not rise from 0 to the number of events.", "Repair the file.")
    if n_events and not index.size:
        raise Alert(f"{where}: has {n_events} events and no pulse.", "Repair the file.")
    return index


def _reorder_events(
    begin: NDArray[np.int64], n_events: int, order: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return which event goes where when pulses are put in order, and the first event of each pulse then."""
    counts = np.diff(np.append(begin, n_events))[order]
    new_begin = np.cumsum(counts) - counts
    return np.repeat(begin[order] - new_begin, counts) + np.arange(n_events), new_begin


def _detector_ids(where: str, group: h5py.Group, n_events: int) -> NDArray[np.uint32] | None:
    name = next((name for name in ("event_id", "event_pixel_id") if name in group), None)
    if name is None:
        return None
    detector_id = group[name][()]
    if detector_id.size != n_events:
        raise Alert(f"{where}: has {detector_id.size} detector ids for {n_events} events.", "Repair the file.")
    if detector_id.size and (detector_id.min() < 0 or detector_id.max() > np.iinfo(np.uint32).max):
        raise Alert(f"{where}/{name}: has detector ids outside 0 to 4294967295.", "Repair the file.")
    return np.asarray(detector_id, dtype=np.uint32)


def _scaled(where: str, dataset: h5py.Dataset, default_unit: str) -> NDArray[np.int64]:
    """Return times as int64 nanoseconds by the dataset's units."""
    unit = _as_text(dataset.attrs.get("units", default_unit)).strip()
    factor = _NANOSECONDS.get(unit) or _NANOSECONDS.get(unit.lower().removesuffix("s"))
    if factor is None:
        name = str(dataset.name).rsplit("/", 1)[-1]
        raise Alert(f"{where}/{name}: its units {unit!r} are not a time.", "Use ns, us, ms or s.")
    values = np.atleast_1d(dataset[()])
    if values.dtype.kind in "iu":
        return values.astype(np.int64) * factor
    if not np.all(np.isfinite(values)):
        raise Alert(f"{where}: holds a time that is not a number.", "Repair the file.")
    return np.rint(values.astype(np.float64) * factor).astype(np.int64)


def _pulse_times(where: str, entry: h5py.Group, dataset: h5py.Dataset) -> NDArray[np.int64]:
    times_ns = _scaled(where, dataset, "second")
    if times_ns.size and times_ns.min() >= _YEAR_2000_NS:
        return times_ns
    origin = _as_text(dataset.attrs.get("offset", dataset.attrs.get("start", ""))) or _text(entry, "start_time")
    match = _DATE.fullmatch(origin.strip())
    if match is None:
        raise Alert(
            f"{where}/event_time_zero: counts from {origin!r}, which is not a date.",
            "Give it an attribute offset such as 2016-04-12T02:58:52, or the entry a start_time.",
        )
    return times_ns + _date_ns(match)


def _date_ns(match: re.Match[str]) -> int:
    """Return nanoseconds since 1970; `datetime` would cut off what is below a microsecond."""
    day, clock, fraction, zone = match.groups()
    moment = datetime.fromisoformat(f"{day}T{clock}{zone or '+00:00'}")
    seconds = (moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()
    return round(seconds) * 10**9 + int((fraction or "0")[:9].ljust(9, "0"))


def _proton_charge(entry: h5py.Group, pulse_time_ns: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the charge of each pulse in uA h: by number if the log has one a pulse, else by time."""
    for name in ("framelog/proton_charge", "DASlogs/proton_charge"):
        log = entry.get(name)
        if not isinstance(log, h5py.Group) or "value" not in log:
            continue
        charge = np.atleast_1d(log["value"][()]).astype(np.float64)
        if _as_text(log["value"].attrs.get("units", "")).lower() in ("picocoulomb", "pc"):
            charge /= _PICOCOULOMB_PER_MICROAMPERE_HOUR
        if charge.size == pulse_time_ns.size:
            return charge
        if charge.size and "time" in log and log["time"].size == charge.size:
            time_ns = _pulse_times(str(log.name), entry, log["time"])
            newest = np.searchsorted(time_ns, pulse_time_ns, side="right") - 1
            return np.where(newest >= 0, charge[newest], 0.0)
    return np.zeros(pulse_time_ns.size)


def _periods(entry: h5py.Group, n_pulses: int) -> NDArray[np.int64]:
    """Return the period of each pulse from 0; ISIS files count from 1 and streams from 0."""
    log = entry.get("framelog/period_log/value")
    if isinstance(log, h5py.Dataset) and log.size == n_pulses:
        return np.maximum(np.asarray(log[()], dtype=np.int64).reshape(-1) - 1, 0)
    return np.zeros(n_pulses, dtype=np.int64)


def _period_count(entry: h5py.Group, sources: list[EventSource]) -> int:
    declared = _text(entry, "periods/number")
    used = max(int(source.period.max()) for source in sources) + 1
    return max(int(declared) if declared.isdigit() else 1, used)


def _text(entry: h5py.Group, name: str) -> str:
    node = entry.get(name)
    return _as_text(node[()]) if isinstance(node, h5py.Dataset) and node.size else ""


def _as_text(value: Any) -> str:
    first = np.ravel(np.asarray(value, dtype=object))[0] if np.ndim(value) else value
    return first.decode("utf-8", "replace") if isinstance(first, bytes) else str(first)
