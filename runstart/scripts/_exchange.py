"""Writes a script's input into a folder and reads its outputs from another, believing nothing that it reads.

Outputs are regular files of bounded size, opened without following links; arrays are bare bytes, and their
types, shapes and names are checked; figures must be PNGs of a reasonable size. Whatever is wrong costs that
execution its outputs, and is said.
"""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import stat
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from runstart.scripts.model import Axis, EarlierRun, NamedArray, ScriptInput

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["OUTPUT_NAME", "BadOutput", "read_outputs", "write_input"]

OUTPUT_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
"""What an output may be called: it becomes part of file names and of the NeXus file."""

_CHILD = Path(__file__).with_name("_child.py")
_MOST_OUTPUTS = 32
_DESCRIPTION_BYTES = 1_000_000
_ARRAY_BYTES = 64_000_000
_ALL_BYTES = 128_000_000
_FIGURE_BYTES = 5_000_000
_FIGURE_PIXELS = 4096
_LONGEST_TEXT = 200
_LONGEST_ERROR = 2000
_PNG = b"\x89PNG\r\n\x1a\n"


class BadOutput(Exception):
    """What a script left behind is not what it may leave."""


def write_input(folder: Path, script_input: ScriptInput, script_name: str, text: bytes) -> None:
    """Write everything that an execution reads: program, script, `run.json` and arrays.

    Parameters
    ----------
    folder : Path
        Existing and empty.
    script_input : ScriptInput
        What the script is shown.
    script_name : str
        Shown in tracebacks.
    text : bytes
        The script.
    """
    shutil.copyfile(_CHILD, folder / "child.py")
    (folder / "script.py").write_bytes(text)
    described = {"script": script_name, "run": _describe(script_input, _Arrays(folder))}
    (folder / "run.json").write_text(json.dumps(described, default=str), encoding="utf-8")


def read_outputs(folder: Path) -> tuple[dict[str, NamedArray], dict[str, bytes], str, str]:
    """Return named arrays, PNGs by name, the error's text and its type, as the child has written them.

    Raises
    ------
    FileNotFoundError
        It has written no result.
    BadOutput
        Something is not as it may be.
    """
    outputs = _Outputs(folder)
    said = outputs.read("result.json", _DESCRIPTION_BYTES)
    try:
        result = json.loads(said)
        listed = [*result["arrays"], *result["figures"]]
        names = [_output_name(entry["name"]) for entry in listed]
        if len(names) > _MOST_OUTPUTS or len(set(names)) < len(names):
            message = f"{len(names)} outputs, or several of one name"
            raise BadOutput(message)
        arrays = {entry["name"]: _array(outputs, entry) for entry in result["arrays"]}
        figures = {entry["name"]: _figure(outputs, entry) for entry in result["figures"]}
        return arrays, figures, _text(result["error"], _LONGEST_ERROR), _text(result["error_type"], _LONGEST_TEXT)
    except FileNotFoundError as problem:
        message = "an output that it names is not there"
        raise BadOutput(message) from problem
    except (ValueError, LookupError, TypeError, RecursionError) as problem:
        message = f"the description of its outputs is damaged: {type(problem).__name__}: {problem}"
        raise BadOutput(message) from problem


class _Arrays:
    """Writes arrays under numbers."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._written = 0

    def put(self, array: npt.NDArray[Any] | None) -> str | None:
        if array is None:
            return None
        name = f"{self._written}.npy"
        self._written += 1
        np.save(self._folder / name, np.ascontiguousarray(array), allow_pickle=False)
        return name


def _describe(run: ScriptInput, arrays: _Arrays) -> dict[str, Any]:
    banks = [
        {"name": bank.name, "shape": bank.shape, "first_detector_id": bank.first_detector_id}
        for bank in run.instrument.banks
    ]
    edges_us = arrays.put(run.instrument.tof.edges_ns() / 1000)
    shared: dict[str, Any] = {"instrument": run.instrument.name, "tof_edges_us": edges_us, "banks": banks}
    described = {
        **shared,
        "name": run.name,
        "key": run.key,
        "start_time_ns": run.start_time_ns,
        "stop_time_ns": run.stop_time_ns,
        "finished": run.finished,
        "metadata": dict(run.metadata),
        "n_periods": run.n_periods,
        "proton_charge_uah": run.proton_charge_uah,
        "tof": arrays.put(run.tof),
        "pixel": arrays.put(run.pixel),
        "pixel_tof": arrays.put(run.pixel_tof),
        "event_rate": arrays.put(run.events_per_second),
        "charge_per_second_uah": arrays.put(run.charge_per_second_uah),
        "ledger": dict(run.ledger),
        "logs": {name: _describe_log(log, arrays) for name, log in run.logs.items()},
        "events": None,
    }
    if run.events is not None:
        kept = ("pulse_time_ns", "time_of_flight_ns", "detector_id")
        described["events"] = {name: arrays.put(getattr(run.events, name)) for name in kept}
        described["events"]["complete"] = bool(run.events.complete)
    for name, earlier in (("previous", run.previous), ("reference", run.reference)):
        if earlier is not None:
            described[name] = {**_describe_earlier(earlier, arrays), **shared}
    return described


def _describe_log(log: Any, arrays: _Arrays) -> dict[str, Any]:
    texts = isinstance(log.values, (list, tuple))
    return {
        "time_ns": arrays.put(np.asarray(log.time_ns)),
        "value": [str(text) for text in log.values] if texts else arrays.put(np.asarray(log.values)),
        "severity": arrays.put(np.asarray(log.severity)),
        "unit": str(log.unit),
    }


def _describe_earlier(run: EarlierRun, arrays: _Arrays) -> dict[str, Any]:
    charge = run.charge_per_second_uah
    return {
        "name": run.name,
        "key": run.key,
        "start_time_ns": None,
        "stop_time_ns": None,
        "finished": True,
        "metadata": {},
        "n_periods": int(run.arrays["tof"].shape[0]),
        "proton_charge_uah": float(charge.sum()),
        "tof": arrays.put(run.arrays["tof"]),
        "pixel": arrays.put(run.arrays["pixel"]),
        "pixel_tof": arrays.put(run.arrays.get("pixel_tof")),
        "event_rate": arrays.put(run.arrays["events_per_second"]),
        "charge_per_second_uah": arrays.put(charge),
        "ledger": dict(run.ledger),
        "logs": {},
        "events": None,
    }


def _array(outputs: _Outputs, entry: Mapping[str, Any]) -> NamedArray:
    name = entry["name"]
    values = _numbers(outputs, entry["values"])
    if values.ndim not in (1, 2) or len(entry["axes"]) != values.ndim:
        message = f"output {name} has {values.ndim} dimensions and {len(entry['axes'])} axes"
        raise BadOutput(message)
    axes = []
    for described, length in zip(entry["axes"], values.shape, strict=True):
        points = _numbers(outputs, described["points"])
        if points.ndim != 1 or points.size not in (length, length + 1):
            message = f"an axis of output {name} has shape {points.shape} for {length} values"
            raise BadOutput(message)
        axis_name = _text(described["name"], _LONGEST_TEXT) or "axis"
        axes.append(Axis(axis_name, points.astype(np.float64), _text(described["unit"], _LONGEST_TEXT)))
    errors = None if entry["errors"] is None else _numbers(outputs, entry["errors"]).astype(np.float64)
    if errors is not None and errors.shape != values.shape:
        message = f"errors of output {name} have shape {errors.shape}, not {values.shape}"
        raise BadOutput(message)
    unit, title = _text(entry["unit"], _LONGEST_TEXT), _text(entry["title"], _LONGEST_TEXT)
    return NamedArray(name, values, tuple(axes), unit, errors, bool(entry["log"]), title)


def _numbers(outputs: _Outputs, described: Mapping[str, Any]) -> npt.NDArray[Any]:
    """Return an array of int64 or float64."""
    file, dtype, shape = described["file"], described["dtype"], tuple(described["shape"])
    if dtype not in ("<i8", "<f8") or len(shape) > 2 or not all(type(n) is int and n >= 0 for n in shape):
        message = f"{str(file)[:_LONGEST_TEXT]!r} holds what cannot be kept"
        raise BadOutput(message)
    data = outputs.read(file, _ARRAY_BYTES)
    if math.prod(shape) * 8 != len(data):
        message = f"{file} does not hold what is said of it"
        raise BadOutput(message)
    return np.frombuffer(data, dtype).reshape(shape)


def _figure(outputs: _Outputs, entry: Mapping[str, Any]) -> bytes:
    data = outputs.read(entry["file"], _FIGURE_BYTES)
    if not data.startswith(_PNG) or len(data) < 24:
        message = f"figure {entry['name']} is no PNG"
        raise BadOutput(message)
    width, height = struct.unpack(">II", data[16:24])
    if not (0 < width <= _FIGURE_PIXELS and 0 < height <= _FIGURE_PIXELS):
        message = f"figure {entry['name']} is {width} x {height} pixels; at most {_FIGURE_PIXELS} each way are kept"
        raise BadOutput(message)
    return data


def _output_name(name: Any) -> str:
    if not isinstance(name, str) or not OUTPUT_NAME.fullmatch(name):
        shown = repr(name)[:_LONGEST_TEXT]
        message = f"{shown} is no name of an output; use letters, digits, _ and -, and begin with a letter"
        raise BadOutput(message)
    return name


def _text(value: Any, longest: int) -> str:
    """Return a text of one line that any page can show."""
    if not isinstance(value, str):
        message = f"a {type(value).__name__} where a text belongs"
        raise BadOutput(message)
    clean = value.encode("utf-8", "replace").decode()
    return "".join(c if c.isprintable() else " " for c in clean)[:longest]


class _Outputs:
    """Reads the files of an output folder, of bounded size one by one and together."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._left = _ALL_BYTES

    def read(self, file: Any, most_bytes: int) -> bytes:
        """Return a regular file's content; a link, a pipe or a file that is too large is refused."""
        if not isinstance(file, str) or not re.fullmatch(r"[A-Za-z0-9_]{1,40}\.[a-z]{1,8}", file):
            message = f"{str(file)[:_LONGEST_TEXT]!r} is no name of a file that the program writes"
            raise BadOutput(message)
        try:
            opened = os.open(self._folder / file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            raise
        except OSError as problem:
            message = f"{file} cannot be read: {problem.strerror}"
            raise BadOutput(message) from problem
        with open(opened, "rb") as stream:  # noqa: PTH123 - of a file that is open
            state = os.fstat(opened)
            if not stat.S_ISREG(state.st_mode):
                message = f"{file} is no regular file"
                raise BadOutput(message)
            most_bytes = min(most_bytes, self._left)
            if state.st_size > most_bytes:
                message = f"{file} is of {state.st_size:,} bytes; at most {most_bytes:,} are kept"
                raise BadOutput(message)
            self._left -= state.st_size
            return stream.read()
