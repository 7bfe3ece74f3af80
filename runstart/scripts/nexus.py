"""Stores a script's arrays in a NeXus file, and reads them back.

Each array is an NXdata with its axes, so that a stock viewer draws it. Figures are pictures, not data: they are
kept beside the file.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from runstart.scripts.model import Axis, NamedArray, ScriptOutcome

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["read_script_arrays", "write_script_arrays"]

_COMPRESSED_FROM = 4096  # bytes


def write_script_arrays(group: h5py.Group, outcome: ScriptOutcome) -> None:
    """Write the arrays of an execution as NXdata groups, with what made them.

    Parameters
    ----------
    group : h5py.Group
        New and empty; becomes an NXprocess with one group for each array.
    outcome : ScriptOutcome
        Of the execution.
    """
    group.attrs["NX_class"] = "NXprocess"
    _text(group, "program", "reduction script")
    _text(group, "sha256", outcome.sha256)
    date = datetime.fromtimestamp(outcome.executed_at, UTC)
    _text(group, "date", date.isoformat(timespec="milliseconds"))
    _text(group, "isolation", outcome.isolation)
    if outcome.error:
        _text(group, "error", outcome.error)
    for name, array in outcome.arrays.items():
        # The prefix keeps an array called "date" apart from the group's own names.
        _write_array(group.create_group(f"array_{name}"), array)


def read_script_arrays(group: h5py.Group) -> dict[str, NamedArray]:
    """Return the arrays of a group that `write_script_arrays` has made, by name.

    Parameters
    ----------
    group : h5py.Group
        The NXprocess.

    Raises
    ------
    KeyError
        It is not such a group.
    """
    arrays = (_read_array(item) for key, item in group.items() if key.startswith("array_"))
    return {array.name: array for array in arrays}


def _write_array(group: h5py.Group, array: NamedArray) -> None:
    names = [f"axis_{dimension}" for dimension in range(array.values.ndim)]
    group.attrs["NX_class"] = "NXdata"
    group.attrs["signal"] = "values"
    group.attrs["axes"] = names
    group.attrs["interpretation"] = "spectrum" if array.values.ndim == 1 else "image"
    group.attrs["title"] = array.title or array.name
    group.attrs["output"] = array.name
    group.attrs["title_given"] = array.title
    values = _numbers(group, "values", array.values)
    values.attrs["units"] = array.unit
    values.attrs["long_name"] = f"{array.name} ({array.unit})" if array.unit else array.name
    if array.log:
        values.attrs["scale"] = "log"
        group.attrs["SILX_style"] = '{"signal_scale_type": "log"}'
    if array.errors is not None:
        _numbers(group, "values_errors", array.errors)
        group.attrs["errors"] = "values_errors"
    for name, axis, length in zip(names, array.axes, array.values.shape, strict=True):
        centres = _numbers(group, name, axis.centres(length))
        centres.attrs["units"] = axis.unit
        centres.attrs["long_name"] = f"{axis.name} ({axis.unit})" if axis.unit else axis.name
        centres.attrs["axis_name"] = axis.name
        if axis.is_edges(length):
            _numbers(group, f"{name}_edges", axis.values).attrs["units"] = axis.unit


def _read_array(group: h5py.Group) -> NamedArray:
    axes = []
    for name in group.attrs["axes"]:
        attributes = group[name].attrs
        points = group[f"{name}_edges"] if f"{name}_edges" in group else group[name]
        axes.append(Axis(str(attributes["axis_name"]), points[()], str(attributes["units"])))
    values = group["values"]
    return NamedArray(
        name=str(group.attrs["output"]),
        values=values[()],
        axes=tuple(axes),
        unit=str(values.attrs["units"]),
        errors=group["values_errors"][()] if "values_errors" in group else None,
        log=values.attrs.get("scale") == "log",
        title=str(group.attrs["title_given"]),
    )


def _numbers(group: h5py.Group, name: str, values: npt.NDArray[Any]) -> h5py.Dataset:
    array = np.asarray(values)
    options: dict[str, Any] = {}
    if array.nbytes >= _COMPRESSED_FROM:
        options = {"compression": "gzip", "compression_opts": 1, "shuffle": True}
    return group.create_dataset(name, data=array, track_times=False, **options)


def _text(group: h5py.Group, name: str, text: str) -> None:
    clean = text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()
    group.create_dataset(name, data=clean, dtype=h5py.string_dtype(), track_times=False)
