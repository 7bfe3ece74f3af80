"""Executes a reduction script: the program that runs outside the live run's process, or in a container image.

Needs Python 3.8 and numpy, nothing else: an image for scripts need not know Runstart. It is called with the input
folder and the output folder, reads `run.json` and `*.npy`, calls the script's `reduce(run)`, and writes
`result.json` with the outputs beside it. Whoever started it believes nothing of what it writes.
"""

from __future__ import annotations

import io
import json
import sys
import types
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

Numbers = Any
"""An array of NumPy, read-only."""

_LONGEST_MESSAGE = 1000
_MOST_OUTPUTS = 32
_MAPPED_FROM = 1 << 16  # bytes


@dataclass(frozen=True)
class Bank:
    """A detector bank: `counts` (periods, *shape), `detector_id` (*shape)."""

    counts: Numbers
    detector_id: Numbers


@dataclass(frozen=True)
class Log:
    """A time series: `time_ns` (Unix time), `value`, `unit`, `severity`."""

    time_ns: Numbers
    value: Any
    unit: str
    severity: Numbers


@dataclass(frozen=True)
class Events:
    """The newest events; `complete` if they are all of the run."""

    pulse_time_ns: Numbers
    time_of_flight_ns: Numbers
    detector_id: Numbers
    complete: bool


@dataclass(frozen=True)
class Array:
    """What `run.array` returns."""

    values: Any
    axes: dict[str, Any]
    units: str
    axis_units: dict[str, str]
    errors: Any
    log: bool
    title: str


@dataclass(frozen=True)
class Run:
    """What a script is shown; see docs/instruments.md."""

    name: str
    instrument: str
    key: str
    start_time_ns: int | None
    stop_time_ns: int | None
    finished: bool
    metadata: dict[str, Any]
    n_periods: int
    proton_charge_uah: float
    tof: Numbers
    tof_edges_us: Numbers
    pixel: Numbers
    pixel_tof: Numbers | None
    banks: dict[str, Bank]
    event_rate: Numbers
    charge_per_second_uah: Numbers
    ledger: dict[str, int]
    logs: dict[str, Log]
    events: Events | None
    previous: Run | None = None
    reference: Run | None = None

    def array(
        self,
        values: Any,
        axes: dict[str, Any] | None = None,
        units: str = "",
        axis_units: dict[str, str] | None = None,
        errors: Any = None,
        log: bool = False,
        title: str = "",
    ) -> Array:
        """Return a curve or a table with named axes.

        Parameters
        ----------
        values : number[n] or number[rows, columns]
        axes : dict of str to number[n] or number[n + 1], optional
            Centres or edges for each dimension, in order.
        units : str, optional
            Of the values.
        axis_units : dict of str to str, optional
            By the axes' names.
        errors : number, optional
            Standard deviations, in the shape of the values.
        log : bool, optional
            Whether it is drawn on a logarithmic scale.
        title : str, optional
            Above its picture.
        """
        return Array(values, dict(axes or {}), units, dict(axis_units or {}), errors, bool(log), title)


def main(arguments: list[str]) -> int:
    """Execute the script of the input folder and return the exit code: 0 even if it raises."""
    folder, out = map(Path, arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(line_buffering=True)  # what was printed before a time-out shall be seen
    described = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    name = described["script"]
    source = (folder / "script.py").read_bytes()
    result: dict[str, Any] = {"error": "", "error_type": "", "arrays": [], "figures": []}
    try:
        run = _load_run(described["run"], folder)
        module = types.ModuleType("reduction_script")
        module.__file__ = name
        sys.modules["reduction_script"] = module
        exec(compile(source, name, "exec"), module.__dict__)  # noqa: S102 - what this program is for
        reduce = getattr(module, "reduce", None)
        if not callable(reduce):
            raise _Mistake("it has no function `reduce(run)`")
        _write_outputs(reduce(run), out, result)
    except BaseException as problem:  # noqa: BLE001 - a script may raise anything, SystemExit too
        result["error"] = _describe(problem, name)
        result["error_type"] = type(problem).__name__
        result["arrays"], result["figures"] = [], []
    (out / "result.json").write_text(json.dumps(result), encoding="utf-8")
    return 0


class _Mistake(Exception):
    """What a script returns is not what it may return."""


def _load_run(described: dict[str, Any], folder: Path) -> Run:
    def load(name: str | None) -> Numbers | None:
        return None if name is None else _load_array(folder / name)

    fields = dict(described)
    for name in ("tof", "tof_edges_us", "pixel", "pixel_tof", "event_rate", "charge_per_second_uah"):
        fields[name] = load(fields[name])
    fields["banks"] = _banks(fields["banks"], fields["pixel"])
    fields["logs"] = {
        name: Log(load(log["time_ns"]), _log_values(log["value"], load), log["unit"], load(log["severity"]))
        for name, log in fields["logs"].items()
    }
    kept = fields["events"]
    if kept is not None:
        arrays = {name: load(kept[name]) for name in ("pulse_time_ns", "time_of_flight_ns", "detector_id")}
        fields["events"] = Events(complete=bool(kept["complete"]), **arrays)
    for name in ("previous", "reference"):
        earlier = fields.get(name)
        fields[name] = None if earlier is None else _load_run(earlier, folder)
    return Run(**fields)


def _load_array(path: Path) -> Numbers:
    if path.stat().st_size > _MAPPED_FROM:
        return np.load(path, mmap_mode="r", allow_pickle=False).view(np.ndarray)
    array = np.load(path, allow_pickle=False)
    array.setflags(write=False)
    return array


def _log_values(described: Any, load: Any) -> Any:
    return load(described) if isinstance(described, str) else list(described)


def _banks(described: list[dict[str, Any]], pixel: Numbers) -> dict[str, Bank]:
    banks = {}
    first = 0
    for bank in described:
        shape = tuple(bank["shape"])
        size = int(np.prod(shape))
        counts = pixel[:, first : first + size].reshape(pixel.shape[0], *shape)
        ids = np.arange(bank["first_detector_id"], bank["first_detector_id"] + size).reshape(shape)
        ids.setflags(write=False)
        banks[bank["name"]] = Bank(counts, ids)
        first += size
    return banks


def _write_outputs(returned: Any, out: Path, result: dict[str, Any]) -> None:
    if not isinstance(returned, dict):
        raise _Mistake(
            f"reduce(run) returned {type(returned).__name__}; return a dict of names to arrays or figures"
        )
    if len(returned) > _MOST_OUTPUTS:
        raise _Mistake(f"reduce(run) returned {len(returned)} outputs; at most {_MOST_OUTPUTS} are kept")
    for number, (name, value) in enumerate(returned.items()):
        if not isinstance(name, str):
            raise _Mistake(f"the name {name!r} of an output is no text")
        if hasattr(value, "savefig"):
            file = f"{number}.png"
            value.savefig(str(out / file), format="png", dpi=100)
            result["figures"].append({"name": name, "file": file})
        else:
            array = value if isinstance(value, Array) else Array(value, {}, "", {}, None, False, "")
            result["arrays"].append(_write_array(name, array, out, number))


def _write_array(name: str, array: Array, out: Path, number: int) -> dict[str, Any]:
    values = _numbers(array.values, f"output {name!r}")
    if values.ndim not in (1, 2):
        raise _Mistake(f"output {name!r} has {values.ndim} dimensions; 1 or 2 can be kept")
    if array.axes and len(array.axes) != values.ndim:
        raise _Mistake(f"output {name!r} has {values.ndim} dimensions but {len(array.axes)} axes")
    given = list(array.axes.items()) or [(f"index {i}", np.arange(n)) for i, n in enumerate(values.shape)]
    axes = []
    for dimension, (axis_name, points) in enumerate(given):
        points = _numbers(points, f"axis {axis_name!r} of output {name!r}")  # noqa: PLW2901
        length = values.shape[dimension]
        if points.ndim != 1 or points.size not in (length, length + 1):
            what = f"axis {axis_name!r} of output {name!r} has shape {points.shape}"
            raise _Mistake(f"{what}; give {length} centres or {length + 1} edges")
        stored = _store(points.astype(np.float64), out, f"{number}_axis{dimension}.bin")
        unit = array.axis_units.get(axis_name, "")
        axes.append({"name": str(axis_name), "points": stored, "unit": str(unit)})
    errors = None
    if array.errors is not None:
        deviations = _numbers(array.errors, f"errors of output {name!r}").astype(np.float64)
        if deviations.shape != values.shape:
            raise _Mistake(f"errors of output {name!r} have shape {deviations.shape}, not {values.shape}")
        errors = _store(deviations, out, f"{number}_errors.bin")
    return {
        "name": name,
        "values": _store(values, out, f"{number}.bin"),
        "axes": axes,
        "unit": str(array.units),
        "errors": errors,
        "log": array.log,
        "title": str(array.title),
    }


def _store(array: Numbers, out: Path, file: str) -> dict[str, Any]:
    """Write the bytes of an array, and return what they are: a reader then needs to trust no file format."""
    kind = "<i8" if array.dtype.kind == "i" else "<f8"
    (out / file).write_bytes(np.ascontiguousarray(array, kind).tobytes())
    return {"file": file, "dtype": kind, "shape": array.shape}


def _numbers(values: Any, what: str) -> Numbers:
    array = np.ascontiguousarray(values) if np.ndim(values) else np.asarray(values)
    if array.dtype.kind in "iub":
        if array.size and int(array.max()) > np.iinfo(np.int64).max:
            raise _Mistake(f"{what} holds integers beyond 64 bits with sign")
        return array.astype(np.int64)
    if array.dtype.kind == "f":
        return array.astype(np.float64)
    raise _Mistake(f"{what} is of type {array.dtype}; only numbers can be kept")


def _describe(problem: BaseException, script: str) -> str:
    """Return type and message of an error, with the script's last line that led to it."""
    message = str(problem)[:_LONGEST_MESSAGE]
    if isinstance(problem, _Mistake):
        return f"{script}: {message}"
    if isinstance(problem, SyntaxError) and problem.filename == script:
        return f"{script}:{problem.lineno}: {type(problem).__name__}: {problem.msg}"
    line, place = None, problem.__traceback__
    while place is not None:
        if place.tb_frame.f_code.co_filename == script:
            line = place.tb_lineno
        place = place.tb_next
    where = script if line is None else f"{script}:{line}"
    return f"{where}: {type(problem).__name__}: {message}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
