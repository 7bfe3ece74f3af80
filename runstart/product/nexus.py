"""Writes a run's product as a NeXus file.

The same product gives the same bytes: nothing in the file comes from the clock or the machine. Default plots
are declared all the way down, so that a stock viewer opens on the TOF spectrum. Axes are bin centres, because
viewers want as many of them as counts; the half-open bin edges, exact in ns, lie beside them. The period axis
is there only if the run has several periods; the first is 1.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from runstart.product._hdf5 import describe, make_group, write_dataset
from runstart.product._nexus_logs import write_logs
from runstart.product.model import content_digest

if TYPE_CHECKING:
    import numpy.typing as npt

    from runstart.events import DetectorSpectrumMap
    from runstart.instruments import Bank
    from runstart.product.model import RunProduct

__all__ = ["iso_time", "nexus_bytes"]

_NS_PER_S = 1_000_000_000


def nexus_bytes(product: RunProduct, write_more: Callable[[h5py.Group], None] | None = None) -> bytes:
    """Return a NeXus file with everything in the product.

    Parameters
    ----------
    product : RunProduct
        The run. Its name and provenance may be any text.
    write_more : callable, optional
        Writes into the entry what others have made of the run.

    Returns
    -------
    bytes
        An HDF5 file: `/entry` with `tof_spectrum` (the default plot), `counts_per_pixel`, `bank_<name>_counts`
        and `bank_<name>_pixel_tof` as the instrument's views say, `event_rate`, `proton_charge`,
        `instrument/bank_<name>`, `logs` if there are any, `ledger` and `provenance`.
    """
    # An HDF5 file image is written in memory: the object store takes whole objects only.
    with h5py.File("run.nxs", "w", driver="core", backing_store=False) as file:
        describe(file, "NXroot", default="entry")
        entry = make_group(file, "entry", "NXentry", default="tof_spectrum")
        _write_identity(entry, product)
        _write_tof(entry, product)
        _write_banks(entry, product)
        if "pixel" in product.instrument.views:
            _write_pixels(entry, product)
        _write_series(entry, product)
        ledger = make_group(entry, "ledger", "NXcollection")
        for column, number in sorted(product.ledger.items()):
            write_dataset(ledger, column, np.int64(number))
        if product.logs:
            write_logs(entry, product.logs, product.start_time_ns, iso_time(product.start_time_ns))
        _write_provenance(entry, product.provenance)
        if product.detector_spectrum_map is not None:
            _write_spectrum_map(entry, product.detector_spectrum_map)
        if write_more is not None:
            write_more(entry)
        file.flush()
        image: bytes = file.id.get_file_image()
        return image


def iso_time(time_ns: int) -> str:
    """Return a Unix time in ns as ISO 8601 in UTC; as a plain number of ns if no calendar has it."""
    try:
        whole = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=time_ns // _NS_PER_S)
    except OverflowError:
        return f"{time_ns} ns since 1970"
    return f"{whole:%Y-%m-%dT%H:%M:%S}.{time_ns % _NS_PER_S:09d}Z"


def _write_identity(entry: h5py.Group, product: RunProduct) -> None:
    """Write which run this is, and its totals."""
    instrument = product.instrument
    write_dataset(entry, "title", f"{instrument.name} {product.run_name}")
    write_dataset(entry, "run_name", product.run_name)
    write_dataset(entry, "entry_identifier", product.partition_key)
    write_dataset(entry, "start_time", iso_time(product.start_time_ns))
    write_dataset(entry, "start_time_ns", np.int64(product.start_time_ns), units="ns")
    if product.stop_time_ns is not None:
        write_dataset(entry, "end_time", iso_time(product.stop_time_ns))
        write_dataset(entry, "end_time_ns", np.int64(product.stop_time_ns), units="ns")
        duration_s = (product.stop_time_ns - product.start_time_ns) / _NS_PER_S
        write_dataset(entry, "duration", np.float64(duration_s), units="s")
    write_dataset(entry, "number_of_periods", np.int64(product.n_periods))
    write_dataset(entry, "total_counts", np.int64(product.views.tof.sum()), units="counts")
    digest = content_digest(product.views, product.series, product.ledger)
    write_dataset(entry, "content_sha256", digest)
    group = make_group(entry, "instrument", "NXinstrument")
    write_dataset(group, "name", instrument.title or instrument.name, short_name=instrument.name)


def _write_tof(entry: h5py.Group, product: RunProduct) -> None:
    """Write the TOF spectrum: the entry's default plot."""
    table = product.views.tof
    names = ["time_of_flight"]
    group = _plot(entry, "tof_spectrum", product, table, names, "TOF spectrum", interpretation="spectrum")
    _write_tof_axis(group, product)


def _write_banks(entry: h5py.Group, product: RunProduct) -> None:
    """Write each bank as a detector, and its pictures as plots of the same data."""
    pixel_tof = product.views.pixel_tof
    order = []
    for index, bank in enumerate(product.instrument.banks):
        # The prefix keeps a bank called "name" or "total" apart from the file's own names.
        name = f"bank_{bank.name}"
        order.append(name)
        detector = make_group(entry["instrument"], name, "NXdetector")
        write_dataset(detector, "local_name", bank.name)
        write_dataset(detector, "detector_number", _detector_numbers(bank))
        image = product.views.bank_image(index)
        write_dataset(detector, "data", _without_single_period(image), units="counts", long_name="counts")
        names = ["row", "column"] if len(bank.shape) == 2 else ["detector_number"]
        if "image" in product.instrument.views:
            group = _plot(entry, f"{name}_counts", product, None, names, bank.name, interpretation="image")
            if len(bank.shape) == 1:
                group.attrs["interpretation"] = "spectrum"
            group["counts"] = detector["data"]
            _write_bank_axes(group, bank)
        if pixel_tof is not None:
            cells = pixel_tof[:, product.views.bank_slice(index)]
            cells = cells.reshape(product.n_periods, *bank.shape, -1)
            title = f"{bank.name}, pixel x TOF"
            group = _plot(entry, f"{name}_pixel_tof", product, cells, [*names, "time_of_flight"], title)
            group.attrs["interpretation"] = "spectrum"
            _write_bank_axes(group, bank)
            _write_tof_axis(group, product)
    entry["instrument"].attrs["banks"] = order


def _write_pixels(entry: h5py.Group, product: RunProduct) -> None:
    """Write the counts of all pixels, bank after bank."""
    group = _plot(
        entry,
        "counts_per_pixel",
        product,
        product.views.pixel,
        ["pixel"],
        "Counts per pixel",
        interpretation="spectrum",
    )
    write_dataset(group, "pixel", np.arange(product.instrument.pixel_count))
    numbers = [_detector_numbers(bank).reshape(-1) for bank in product.instrument.banks]
    write_dataset(group, "detector_number", np.concatenate(numbers))


def _write_series(entry: h5py.Group, product: RunProduct) -> None:
    """Write event rate and proton charge against time since the start."""
    arrays = product.series.arrays()
    start = iso_time(product.start_time_ns)
    for name, signal, values, units, title in (
        ("event_rate", "events_per_second", arrays["events_per_second"], "counts/s", "Event rate"),
        ("proton_charge", "charge", product.series.charge_per_second_uah, "uAh", "Proton charge per second"),
    ):
        group = make_group(entry, name, "NXdata", signal=signal, axes=["time"], title=title)
        write_dataset(group, signal, values, units=units, long_name=f"{title} ({units})")
        seconds = np.arange(values.size, dtype=np.int64)
        write_dataset(group, "time", seconds, units="s", start=start, long_name="Time since start (s)")
    charge = entry["proton_charge"]
    write_dataset(charge, "total", np.float64(product.series.total_charge_uah), units="uAh")
    write_dataset(charge, "charge_quanta", arrays["charge_quanta_per_second"], units="2**-40 uAh")


def _write_provenance(entry: h5py.Group, provenance: dict[str, str]) -> None:
    """Write what made the product: texts as they are, JSON as notes."""
    group = make_group(entry, "provenance", "NXprocess")
    for name, text in sorted(provenance.items()):
        if _is_json(text):
            note = make_group(group, name, "NXnote")
            write_dataset(note, "type", "application/json")
            write_dataset(note, "data", text)
        else:
            write_dataset(group, name, text)


def _write_spectrum_map(entry: h5py.Group, spectrum_map: DetectorSpectrumMap) -> None:
    """Write which spectrum each detector belongs to, as announced."""
    group = make_group(entry, "detector_spectrum_map", "NXcollection")
    write_dataset(group, "spectrum", spectrum_map.spectrum)
    write_dataset(group, "detector_id", spectrum_map.detector_id)
    write_dataset(group, "n_spectra", np.int64(spectrum_map.n_spectra))


def _plot(
    entry: h5py.Group,
    name: str,
    product: RunProduct,
    table: npt.NDArray[Any] | None,
    axes: list[str],
    title: str,
    **attributes: str,
) -> h5py.Group:
    """Create an NXdata of counts, `(n_periods, ...)`, with the period axis if there are several."""
    several = product.n_periods > 1
    group = make_group(entry, name, "NXdata", signal="counts", title=title, **attributes)
    group.attrs["axes"] = ["period", *axes] if several else axes
    if several:
        write_dataset(group, "period", np.arange(1, product.n_periods + 1))
    if table is not None:
        write_dataset(group, "counts", _without_single_period(table), units="counts", long_name="Counts")
    return group


def _write_tof_axis(group: h5py.Group, product: RunProduct) -> None:
    """Write bin centres and edges."""
    edges_ns = product.instrument.tof.edges_ns()
    centres_us = (edges_ns[:-1] + edges_ns[1:]) / 2000
    write_dataset(group, "time_of_flight", centres_us, units="us", long_name="Time of flight (us)")
    write_dataset(group, "time_of_flight_edges", edges_ns / 1000, units="us")
    write_dataset(group, "time_of_flight_edges_ns", edges_ns, units="ns")


def _write_bank_axes(group: h5py.Group, bank: Bank) -> None:
    """Write row and column, or the detector numbers of a bank of one dimension."""
    if len(bank.shape) == 1:
        write_dataset(group, "detector_number", _detector_numbers(bank))
        return
    for name, length in zip(("row", "column"), bank.shape, strict=True):
        write_dataset(group, name, np.arange(length))


def _detector_numbers(bank: Bank) -> npt.NDArray[np.int64]:
    """Return the detector ids of a bank in its shape."""
    first = bank.first_detector_id
    return np.arange(first, first + bank.size, dtype=np.int64).reshape(bank.shape)


def _without_single_period(table: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the table without a period dimension of length 1."""
    return table[0] if table.shape[0] == 1 else table


def _is_json(text: str) -> bool:
    """Return whether a text is a JSON object or list."""
    if not text.startswith(("{", "[")):
        return False
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
