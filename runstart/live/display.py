"""What a live page draws of a run: its counts as plain JSON arrays, small enough to be sent every two seconds.

Large tables are summed in blocks, never skipped over, and say how many values a block has. Numbers that JSON does
not have (NaN, infinities) are null. Periods are summed.
"""

from __future__ import annotations

import json
import math
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from runstart.events import Severity

if TYPE_CHECKING:
    import numpy.typing as npt

    from runstart.logs import LogSeries
    from runstart.product import RunProduct
    from runstart.scripts import NamedArray, ScriptOutcome

VIEWS_NAME = "views.json"
FORMAT = 1
MOST_BINS = 1000  # of a spectrum
MOST_RATES = 600
MOST_SIDE = 128  # cells along each side of a bank or an image of the script
MOST_CELLS = 4 * MOST_SIDE**2  # of all banks together, and of all arrays of the script: at most 0.7 MB of JSON each
MOST_LOGS = 40
MOST_SAMPLES = 300  # of one log
MOST_ARRAYS = 12  # of the script
LONGEST_OUTPUT = 20_000  # characters of what the script printed: its end
_LONGEST_TEXT = 200
_LONGEST_SAMPLE = 60  # of a log of texts
_DIGITS = 6  # of numbers that are no counts
_NS_PER_S = 1e9


def views_json(product: RunProduct, script: ScriptOutcome | None = None) -> bytes:
    """Return what a page draws of a run.

    Parameters
    ----------
    product : RunProduct
        The run, so far or finished.
    script : ScriptOutcome, optional
        Of the newest execution of its reduction script.

    Returns
    -------
    bytes
        A JSON object with `tof` (counts in bins of `width_us` from `start_us`), `rate` (events a second, each value the
        mean of `seconds_each`), `banks` (counts row by row, row 0 at the bottom), `logs` (samples at seconds since the
        run's start) and `script` (None without one).
    """
    told = {
        "format": FORMAT,
        "instrument": product.instrument.name,
        "partition_key": product.partition_key,
        "run_name": product.run_name[:_LONGEST_TEXT],
        "start_time": product.start_time_ns / _NS_PER_S,
        "stop_time": None if product.stop_time_ns is None else product.stop_time_ns / _NS_PER_S,
        "written_at": time.time(),
        "tof": _spectrum(product),
        "rate": _rate(product),
        "banks": _banks(product),
        "logs": _logs(product),
        "script": None if script is None else _script(script),
    }
    return json.dumps(told, separators=(",", ":"), allow_nan=False).encode()


def _spectrum(product: RunProduct) -> dict[str, Any]:
    counts = product.views.tof.sum(axis=0)
    axis = product.instrument.tof
    each = -(-counts.size // MOST_BINS)
    return {
        "start_us": axis.start_ns / 1000,
        "width_us": axis.width_ns * each / 1000,
        "stop_us": axis.stop_ns / 1000,
        "counts": _summed(counts, each).tolist(),
    }


def _rate(product: RunProduct) -> dict[str, Any]:
    events = product.series.events_per_second
    if product.stop_time_ns is None and events.size > 1:
        events = events[:-1]  # the newest second is not complete: it would look like a drop
    each = max(1, -(-events.size // MOST_RATES))
    last = events.size % each or each
    rates = _summed(events, each) / each
    if rates.size:
        rates[-1] *= each / last
    return {"seconds_each": each, "seconds": int(events.size), "events_per_second": _numbers(rates)}


def _banks(product: RunProduct) -> list[dict[str, Any]]:
    """Return as many banks as there is room for, in their order."""
    told: list[dict[str, Any]] = []
    room = MOST_CELLS
    for index, bank in enumerate(product.instrument.banks):
        image = product.views.bank_image(index).sum(axis=0, dtype=np.uint64)
        table = image if image.ndim == 2 else image[np.newaxis]
        each = [max(1, -(-length // MOST_SIDE)) for length in table.shape]
        if image.ndim == 1:
            each[1] = max(1, -(-table.shape[1] // MOST_BINS))
        blocks = _summed(_summed(table, each[0], 0), each[1], 1)
        room -= blocks.size
        if room < 0:
            break
        told.append(
            {
                "name": bank.name,
                "shape": list(bank.shape),
                "first_detector_id": bank.first_detector_id,
                "rows": blocks.shape[0],
                "columns": blocks.shape[1],
                "rows_each": each[0],
                "columns_each": each[1],
                "total": int(image.sum()),
                "counts": blocks.ravel().tolist(),
            }
        )
    return told


def _logs(product: RunProduct) -> list[dict[str, Any]]:
    chosen = sorted(product.logs)[:MOST_LOGS]
    return [_log(product.logs[name], product.start_time_ns) for name in chosen if len(product.logs[name])]


def _log(series: LogSeries, start_time_ns: int) -> dict[str, Any]:
    """Return a log; of one with many samples every n-th, and always the last."""
    step = max(1, -(-len(series) // MOST_SAMPLES))
    taken = np.arange(len(series) - 1, -1, -step)[::-1]
    values: list[Any]
    if isinstance(series.values, tuple):
        values = [series.values[place][:_LONGEST_SAMPLE] for place in taken]
    else:
        values = _numbers(series.values[taken])
    seconds = (series.time_ns[taken] - np.int64(start_time_ns)) / _NS_PER_S
    return {
        "name": series.name[:_LONGEST_TEXT],
        "unit": series.unit[:_LONGEST_TEXT],
        "is_text": series.is_text,
        "samples": len(series),
        "seconds": [round(second, 3) for second in seconds.tolist()],
        "values": values,
        "severity": series.severity[taken].tolist(),
        "last_severity": Severity(int(series.severity[-1])).name.lower(),
    }


def _script(outcome: ScriptOutcome) -> dict[str, Any]:
    return {
        "sha256": outcome.sha256,
        "executed_at": outcome.executed_at,
        "seconds": outcome.seconds,
        "output": outcome.output[-LONGEST_OUTPUT:],
        "error": outcome.error[-LONGEST_OUTPUT:],
        "isolation": outcome.isolation,
        "arrays": _arrays(outcome),
        "figures": [f"script_{name}.png" for name in outcome.figures],
    }


def _arrays(outcome: ScriptOutcome) -> list[dict[str, Any]]:
    """Return as many curves and tables of a script as there is room for, in their order."""
    told: list[dict[str, Any]] = []
    room = MOST_CELLS
    for array in list(outcome.arrays.values())[:MOST_ARRAYS]:
        if array.values.ndim not in (1, 2) or not array.values.size:
            continue
        drawn = _array(array)
        room -= len(drawn["values"]) * (1 if drawn["errors"] is None else 2)
        if room < 0:
            break
        told.append(drawn)
    return told


def _array(array: NamedArray) -> dict[str, Any]:
    """Return a curve or a table of a script; of a large one every n-th value, which needs no meaning of a sum."""
    most = MOST_BINS if array.values.ndim == 1 else MOST_SIDE
    steps = [max(1, -(-length // most)) for length in array.values.shape]
    cut = tuple(slice(None, None, step) for step in steps)
    axes = [
        {
            "name": axis.name[:_LONGEST_TEXT],
            "unit": axis.unit[:_LONGEST_TEXT],
            "values": _numbers(axis.centres(length)[::step]),
        }
        for axis, length, step in zip(array.axes, array.values.shape, steps, strict=True)
    ]
    values = array.values[cut]
    return {
        "name": array.name,
        "title": (array.title or array.name)[:_LONGEST_TEXT],
        "unit": array.unit[:_LONGEST_TEXT],
        "log": array.log,
        "shape": list(values.shape),
        "axes": axes,
        "values": _numbers(values.ravel()),
        "errors": None if array.errors is None else _numbers(array.errors[cut].ravel()),
    }


def _summed(counts: npt.NDArray[Any], each: int, axis: int = 0) -> npt.NDArray[Any]:
    """Return the sums of so many neighbours along an axis; the last block may have fewer."""
    if each == 1 or counts.shape[axis] == 0:
        return counts.copy()
    summed: npt.NDArray[Any] = np.add.reduceat(counts, np.arange(0, counts.shape[axis], each), axis=axis)
    return summed


def _numbers(values: npt.NDArray[Any]) -> list[float | int | None]:
    """Return numbers as JSON has them."""
    return [_number(value) for value in values.tolist()]


def _number(value: float) -> float | int | None:
    if isinstance(value, int):
        return value
    if not math.isfinite(value):
        return None
    return float(f"{value:.{_DIGITS}g}")
