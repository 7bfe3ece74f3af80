"""Finds the frames in an HDF5 file, and what it knows of their scale: NeXus, EMD, or a single array.

NXdata: https://manual.nexusformat.org/classes/base_classes/NXdata.html. EMD: https://emdatasets.com/format (0.2 and 1.0).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from runstart.frame_files._hdf5_access import Hdf5File, is_dataset, is_group, text_of
from runstart.frame_files._limits import refused

_MOST_ITEMS = 100_000
_LISTED = 12
_VELOX = "/Data/Image/"
_PER_NM = {"nm": 1.0, "n_m": 1.0, "a": 0.1, "å": 0.1, "angstrom": 0.1, "pm": 1e-3, "um": 1e3, "µm": 1e3, "m": 1e9}
_PER_MRAD = {"mrad": 1.0, "rad": 1e3, "urad": 1e-3}


def find_frames(file: Hdf5File, path: str | None) -> Any:
    """Return the dataset that holds the frames.

    Parameters
    ----------
    file : Hdf5File
        The open file.
    path : str or None
        What the caller names; None looks for a default, and then for the only one that it can be.

    Raises
    ------
    Alert
        If there is none, or more than one.
    """
    if path is not None:
        return file.dataset(path)
    found = _default_signal(file.root)
    if found is None:
        found = _only_candidate(file)
    file.check_place(found)
    if found.name.startswith(_VELOX):
        remedy = "Export it, or transpose it, to (frames, rows, columns); or name the dataset if it is so already."
        raise refused(file.name, "is a file of Velox, which keeps frames along the last axis", remedy)
    return found


def find_calibration(dataset: Any) -> dict[str, float]:
    """Return the scan's step and the detector's angle per pixel, as far as the axes beside a dataset say them."""
    axes = _axes(dataset)
    if len(axes) != dataset.ndim or dataset.ndim != 4:
        return {}
    found = {}
    for name, axis, units in (("scan_step_nm", axes[1], _PER_NM), ("mrad_per_pixel", axes[3], _PER_MRAD)):
        step = _step(axis)
        factor = units.get(text_of(axis.attrs.get("units")).strip("[] ").lower()) if axis is not None else None
        if step and factor:
            found[name] = step * factor
    return found


def _default_signal(root: Any) -> Any:
    """Return what the chain of NeXus' `default` attributes leads to; None if it leads nowhere."""
    group = root
    for _ in range(10):
        name = text_of(group.attrs.get("default"))
        if not name:
            break
        group = group.get(name)
        if not is_group(group):
            return None
    signal = group.get(text_of(group.attrs.get("signal")) or "data") if group is not root else None
    return signal if _holds_frames(signal) else None


def _only_candidate(file: Hdf5File) -> Any:
    candidates, preferred = [], []
    items = 0

    def look(_: str, item: Any) -> bool | None:
        nonlocal items
        items += 1
        if _holds_frames(item):
            candidates.append(item)
            if _is_announced(item):
                preferred.append(item)
        return True if items >= _MOST_ITEMS else None  # ends the visit

    file.root.visititems(look)
    for group in (preferred, [item for item in candidates if item.ndim == 4], candidates):
        if len(group) == 1:
            return group[0]
    if not candidates:
        remedy = "Give a file with an array of (scan rows, scan columns, rows, columns) or (frames, rows, columns)."
        raise refused(file.name, "holds no frames: no numeric array of three or four dimensions", remedy)
    listed = ", ".join(f"{item.name} {item.shape}" for item in candidates[:_LISTED])
    more = f" and {len(candidates) - _LISTED} more" if len(candidates) > _LISTED else ""
    what = f"holds {len(candidates)} arrays that may be the frames: {listed}{more}"
    raise refused(file.name, what, "Name one of them as the dataset.")


def _holds_frames(item: Any) -> bool:
    return is_dataset(item) and item.ndim in (3, 4) and item.dtype.kind in "biuf" and math.prod(item.shape) > 0


def _is_announced(dataset: Any) -> bool:
    """Tell whether the group of a dataset says that it is the data: as EMD or as NXdata."""
    attributes = dataset.parent.attrs
    name = dataset.name.rpartition("/")[2]
    if "emd_group_type" in attributes:
        return text_of(attributes["emd_group_type"]) in ("1", "array") and name in ("data", "datacube")
    return text_of(attributes.get("NX_class")) == "NXdata" and text_of(attributes.get("signal")) == name


def _axes(dataset: Any) -> list[Any]:
    """Return the datasets of the axes in the order of dimensions; None for one that is not there."""
    group = dataset.parent
    if "axes" in group.attrs:
        names = np.atleast_1d(group.attrs["axes"]).tolist()
        found = [group.get(text_of(name)) if text_of(name) not in ("", ".") else None for name in names]
    else:
        first = 1 if "dim1" in group and "dim0" not in group else 0
        found = [group.get(f"dim{first + axis}") for axis in range(dataset.ndim)]
    return [axis if _is_axis(axis) else None for axis in found]


def _is_axis(item: Any) -> bool:
    return is_dataset(item) and item.ndim == 1 and item.dtype.kind in "iuf"


def _step(axis: Any) -> float | None:
    """Return the distance of neighbours on an axis."""
    if axis is None or len(axis) < 2:
        return None
    step = abs(float(axis[-1]) - float(axis[0])) / (len(axis) - 1)
    return step if math.isfinite(step) and step > 0 else None
