"""Writes the product of a scan as a NeXus file, and reads it back.

The same product gives the same bytes: nothing in the file comes from the clock or the machine. Default plots are declared
all the way down, so that a stock viewer opens on the first virtual image. Row 0 of the scan and of the camera comes first.

    /entry                      NXentry: `title`, `entry_identifier` (the scan), `ended`, `content_sha256`
      virtual_image_<detector>  NXdata: `mean` over the frames of each position, by y and x
      center_of_mass            NXdata: `position` in pixels, by component (0: mean column, 1: mean row), y and x
      phase                     NXdata: `phase` by y and x
      diffraction_pattern       NXdata: `sum` over all frames, by angle (or row and column)
      frame_counts              NXdata: `frames` of each position, by y and x
      instrument                NXinstrument: `name`, and what the file says of itself in `scan_header`
      accounting                NXcollection: what became of the frames, by name
      process                   NXprocess: `program`, `version`, `center` (row, column), `recipe` (JSON)

Missing values are NaN. Axes are in nm, mrad and 1/nm as far as the lengths are known.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import runstart
from runstart.errors import Alert
from runstart.frame_files import ScanHeader
from runstart.frames import Recipe
from runstart.scans.axes import Axis, camera_axes, phase_unit, reciprocal_axes, scan_axes, signal_unit
from runstart.scans.digest import digest_product
from runstart.scans.model import Accounting, ScanProduct

if TYPE_CHECKING:
    import h5py

__all__ = ["read_center_of_mass", "read_scan_nexus", "write_scan_nexus"]

_IMAGE = "virtual_image_"


def write_scan_nexus(path: Path, product: ScanProduct) -> None:
    """Write everything in the product but its electron events.

    Parameters
    ----------
    path : Path
        Of the file; one that is there is replaced.
    product : ScanProduct
        Of a scan.

    Raises
    ------
    ValueError
        If an array has not the shape of the scan.
    OSError
        If it cannot be written.
    """
    import h5py

    from runstart.product import describe, make_group, write_dataset

    _check_shapes(product)
    images = [f"{_IMAGE}{name}" for name in product.virtual_images]
    default = images[0] if images else "center_of_mass"
    with h5py.File(path, "w") as file:
        describe(file, "NXroot", default="entry")
        entry = make_group(file, "entry", "NXentry", default=default)
        write_dataset(entry, "title", f"{product.microscope} {product.scan}")
        write_dataset(entry, "entry_identifier", product.scan)
        write_dataset(entry, "ended", product.ended)
        write_dataset(entry, "content_sha256", digest_product(product))
        _write_maps(entry, product)
        _write_pattern(entry, product)
        _write_instrument(entry, product)
        accounting = make_group(entry, "accounting", "NXcollection")
        for name, number in product.accounting.as_dict().items():
            write_dataset(accounting, name, np.int64(number))
        _write_process(entry, product)


def read_scan_nexus(source: bytes | Path) -> ScanProduct:
    """Return the product in a file that `write_scan_nexus` wrote, without electron events.

    Parameters
    ----------
    source : bytes or Path
        The file.

    Raises
    ------
    Alert
        If it is not such a file, or damaged.
    """
    with _opened(source) as entry:
        instrument, process = entry["instrument"], entry["process"]
        header = json.loads(_text(instrument["scan_header/data"]))
        shapes = {name: tuple(header[name]) for name in ("scan_shape", "frame_shape")}
        counts = {name: int(number[()]) for name, number in entry["accounting"].items() if name != "missing"}
        names = json.loads(_text(process["virtual_images/data"]))
        row, column = process["center"][()]
        return ScanProduct(
            microscope=_text(instrument["name"]),
            scan=_text(entry["entry_identifier"]),
            header=ScanHeader(**{**header, **shapes}),
            recipe=Recipe.model_validate_json(_text(process["recipe/data"])),
            accounting=Accounting(**counts),
            center=(float(row), float(column)),
            frame_counts=entry["frame_counts/frames"][()],
            center_of_mass=_center_of_mass(entry),
            virtual_images={name: entry[f"{_IMAGE}{name}/mean"][()] for name in names},
            pattern=entry["diffraction_pattern/sum"][()],
            phase=entry["phase/phase"][()],
            ended=_text(entry["ended"]),
        )


def read_center_of_mass(source: bytes | Path) -> NDArray[np.float32]:
    """Return the centre of mass in a file that `write_scan_nexus` wrote.

    Parameters
    ----------
    source : bytes or Path
        The file.

    Returns
    -------
    ndarray of float32, shape (2, scan_rows, scan_columns)
        Mean column, mean row, in pixels as analysed; NaN where there is none.

    Raises
    ------
    Alert
        If it is not such a file, or damaged.
    """
    with _opened(source) as entry:
        return _center_of_mass(entry)


def _check_shapes(product: ScanProduct) -> None:
    scan = product.header.scan_shape
    maps: dict[str, NDArray[Any]] = {
        "frame_counts": product.frame_counts,
        "phase": product.phase,
        **product.virtual_images,
    }
    wrong = [name for name, values in maps.items() if values.shape != scan]
    if product.center_of_mass.shape != (2, *scan):
        wrong.append("center_of_mass")
    if product.pattern.ndim != 2:
        wrong.append("pattern")
    if wrong:
        message = f"{', '.join(wrong)}: not of a scan of {scan[0]} x {scan[1]} positions"
        raise ValueError(message)


def _write_maps(entry: h5py.Group, product: ScanProduct) -> None:
    """Write what has a value for each scan position."""
    from runstart.product import write_dataset

    axes = list(scan_axes(product))
    unit = signal_unit(product)
    for name, image in product.virtual_images.items():
        words = f"Virtual image, {name}"
        _write_plot(entry, f"{_IMAGE}{name}", "mean", image, axes, words, unit, long_name=f"{unit} per frame")
    component = Axis("component", 0, 1, 2, "")
    center = _write_plot(
        entry,
        "center_of_mass",
        "position",
        product.center_of_mass,
        [component, *axes],
        "Centre of mass",
        "px",
        long_name="centre of mass (px)",
    )
    write_dataset(center, "component_names", ["mean column", "mean row"])
    phase = phase_unit(product.header)
    _write_plot(entry, "phase", "phase", product.phase, axes, "Phase", phase, long_name=f"phase ({phase})")
    counts = product.frame_counts
    _write_plot(entry, "frame_counts", "frames", counts, axes, "Frames of each position", "", long_name="frames")


def _write_pattern(entry: h5py.Group, product: ScanProduct) -> None:
    """Write the summed diffraction pattern; its scattering vectors lie beside the angles."""
    unit = signal_unit(product)
    axes = list(camera_axes(product))
    title = "Summed diffraction pattern"
    group = _write_plot(entry, "diffraction_pattern", "sum", product.pattern, axes, title, unit, long_name=unit)
    for index, axis in enumerate(reciprocal_axes(product) or ()):
        _write_axis(group, axis, index)


def _write_instrument(entry: h5py.Group, product: ScanProduct) -> None:
    """Write the microscope's name, and what the file of the frames says of itself."""
    from runstart.product import make_group, write_dataset

    group = make_group(entry, "instrument", "NXinstrument")
    write_dataset(group, "name", product.microscope)
    _write_json(group, "scan_header", asdict(product.header))


def _write_process(entry: h5py.Group, product: ScanProduct) -> None:
    """Write how the product was made."""
    from runstart.product import make_group, write_dataset

    group = make_group(entry, "process", "NXprocess")
    write_dataset(group, "program", "runstart")
    write_dataset(group, "version", runstart.__version__)
    write_dataset(group, "center", np.array(product.center, np.float64), units="px", long_name="row, column")
    _write_json(group, "recipe", product.recipe.model_dump(mode="json"))
    # HDF5 lists groups by their names; the recipe's order is another.
    _write_json(group, "virtual_images", list(product.virtual_images))


def _write_json(group: h5py.Group, name: str, value: Any) -> None:
    from runstart.product import make_group, write_dataset

    note = make_group(group, name, "NXnote")
    write_dataset(note, "type", "application/json")
    write_dataset(note, "data", json.dumps(value, sort_keys=True))


def _write_plot(
    entry: h5py.Group,
    name: str,
    signal: str,
    values: NDArray[Any],
    axes: list[Axis],
    title: str,
    unit: str,
    long_name: str,
) -> h5py.Group:
    """Create an NXdata with its axes."""
    from runstart.product import make_group, write_dataset

    names = [axis.name for axis in axes]
    group = make_group(entry, name, "NXdata", signal=signal, axes=names, title=title, interpretation="image")
    attributes = {"units": unit} if unit else {}
    write_dataset(group, signal, values, long_name=long_name, **attributes)
    for index, axis in enumerate(axes):
        _write_axis(group, axis, index)
    return group


def _write_axis(group: h5py.Group, axis: Axis, index: int) -> None:
    from runstart.product import write_dataset

    attributes = {"units": axis.unit, "long_name": axis.label} if axis.unit else {"long_name": axis.name}
    write_dataset(group, axis.name, axis.values, **attributes)
    group.attrs[f"{axis.name}_indices"] = index


@contextmanager
def _opened(source: bytes | Path) -> Iterator[h5py.Group]:
    """Yield the entry of a file; what goes wrong while it is read is an Alert."""
    import h5py

    name = "The stored NeXus file" if isinstance(source, bytes) else f"{source.name!a}"
    try:
        with h5py.File(io.BytesIO(source) if isinstance(source, bytes) else source, "r") as file:
            yield file["entry"]
    # Damage can turn any object of the file into one of another type.
    except (OSError, LookupError, ValueError, RuntimeError, TypeError, AttributeError) as problem:
        what = f"{name} is not the result of a scan, or is damaged: {problem}."
        raise Alert(what, "Materialize the scan again, or restore the file.") from problem


def _center_of_mass(entry: h5py.Group) -> NDArray[np.float32]:
    values = entry["center_of_mass/position"][()]
    if values.dtype != np.float32 or values.ndim != 3 or len(values) != 2:
        message = f"its centre of mass is {values.dtype} of shape {values.shape}"
        raise ValueError(message)
    center: NDArray[np.float32] = values
    return center


def _text(dataset: h5py.Dataset) -> str:
    return str(dataset.asstr()[()])
