"""Time-series logs in the NeXus file: an NXlog each, under a name that HDF5 and every reader can take.

Times are seconds since the run's start, beside them exact ns since 1970; the first may be negative: the value at the
start. Where nobody knew the value it is NaN, or an empty text, and the alarm severity says why.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from runstart.logs import LogSeries
from runstart.product._hdf5 import make_group, write_dataset

if TYPE_CHECKING:
    import h5py

__all__ = ["read_logs", "safe_names", "write_logs"]

_LONGEST_NAME = 60
_UNSAFE = re.compile(r"[^A-Za-z0-9_]+")
_SEVERITIES = "0 OK, 1 MINOR, 2 MAJOR, 3 INVALID, 4 DISCONNECTED"


def write_logs(entry: h5py.Group, logs: Mapping[str, LogSeries], start_time_ns: int, start: str) -> None:
    """Write logs into `logs` of an entry.

    Parameters
    ----------
    entry : h5py.Group
        The NXentry.
    logs : mapping of str to LogSeries
        By name: any text.
    start_time_ns : int
        Start of the run, ns since 1970.
    start : str
        The same as ISO 8601.
    """
    group = make_group(entry, "logs", "NXcollection")
    for name, safe in safe_names(logs).items():
        _write_log(make_group(group, safe, "NXlog"), name, logs[name], start_time_ns, start)


def read_logs(entry: h5py.Group) -> dict[str, LogSeries]:
    """Return the logs of an entry by name; none if it has no `logs`."""
    if "logs" not in entry:
        return {}
    found = (_read_log(group) for group in entry["logs"].values())
    return {series.name: series for series in sorted(found, key=lambda series: series.name)}


def safe_names(names: Iterable[str]) -> dict[str, str]:
    """Return a different name of letters, digits and `_` for each name, the same whatever their order."""
    safe: dict[str, str] = {}
    taken: set[str] = set()
    for name in sorted(names):
        plain = _UNSAFE.sub("_", name)[:_LONGEST_NAME].strip("_") or "log"
        plain = plain if plain[0].isalpha() else f"log_{plain}"
        candidate, number = plain, 1
        while candidate.lower() in taken:
            number += 1
            candidate = f"{plain}_{number}"
        taken.add(candidate.lower())
        safe[name] = candidate
    return safe


def _write_log(group: h5py.Group, name: str, series: LogSeries, start_time_ns: int, start: str) -> None:
    write_dataset(group, "name", name)
    write_dataset(group, "source", series.source)
    seconds = (series.time_ns - np.int64(start_time_ns)) / 1e9
    write_dataset(group, "time", seconds, units="s", start=start)
    write_dataset(group, "time_ns", series.time_ns, units="ns since 1970-01-01T00:00:00Z")
    units = {"units": series.unit} if series.unit else {}
    write_dataset(group, "value", series.values, **units)
    write_dataset(group, "alarm_severity", series.severity, meaning=_SEVERITIES)
    if series.status:
        write_dataset(group, "alarm_status", series.status)
    if series.thinned:
        write_dataset(group, "thinned", np.int64(series.thinned))
    if not series.is_text and np.isfinite(series.values).any():
        known = np.asarray(series.values)[np.isfinite(series.values)]
        write_dataset(group, "minimum_value", known.min(), **units)
        write_dataset(group, "maximum_value", known.max(), **units)


def _read_log(group: h5py.Group) -> LogSeries:
    value = group["value"]
    texts = value.dtype.kind == "O"
    return LogSeries(
        name=group["name"].asstr()[()],
        time_ns=group["time_ns"][()],
        values=tuple(value.asstr()[()]) if texts else value[()],
        severity=group["alarm_severity"][()],
        unit=str(value.attrs.get("units", "")),
        source=group["source"].asstr()[()],
        status=tuple(group["alarm_status"].asstr()[()]) if "alarm_status" in group else (),
        thinned=int(group["thinned"][()]) if "thinned" in group else 0,
    )
