"""Writes the electron events of each scan into an HDF5 file, when it is complete or over."""

from __future__ import annotations

from typing import Any

from runstart.frame_messages import Batch, CountedSums, OpenScans, ScanInfo, publish_tables, read_batch
from runstart.operators import DATA_DIRECTORY, BytesMessage, on_finish, operator


def _collect(scan: ScanInfo) -> CountedSums:
    return CountedSums(scan, DATA_DIRECTORY / "output_dir")


_scans: OpenScans[Batch] = OpenScans(_collect)


@operator(keeps_state=True)
def electron_count_save(inputs: BytesMessage | None, parameters: dict[str, Any]) -> None:
    """Collect the events of some positions; show which files were written."""
    if inputs is not None:
        _show(_scans.take(read_batch(inputs), parameters, 0, parameters["max_concurrent_scans"]))


@on_finish
def save_rest(parameters: dict[str, Any]) -> None:
    """Write what there is of scans that are not complete."""
    _show(_scans.finish(parameters))


def _show(tables: list[BytesMessage]) -> None:
    for table in tables:
        publish_tables(table.data, keep=True)
