"""Reads a stored product back, to prove that the file holds what was counted."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from runstart.errors import Alert
from runstart.product._nexus_logs import read_logs
from runstart.product.model import digest_arrays

if TYPE_CHECKING:
    import numpy.typing as npt

    from runstart.logs import LogSeries

__all__ = ["StoredProduct", "read_product"]


@dataclass(frozen=True)
class StoredProduct:
    """What a stored file holds.

    Attributes
    ----------
    run_name, partition_key : str
        Identity of the run.
    arrays : dict of str to integer array
        `tof` (n_periods, bins), `pixel` (n_periods, pixels), `pixel_tof` (n_periods, pixels, bins) if the
        instrument declares it, `events_per_second` and `charge_quanta_per_second` (n_seconds,).
    ledger : dict of str to int
        Columns by name.
    written_digest : str
        The digest that the writer took of its counts.
    logs : dict of str to LogSeries
        Time series of the sample environment by name; no part of the digest.
    """

    run_name: str
    partition_key: str
    arrays: dict[str, npt.NDArray[Any]]
    ledger: dict[str, int]
    written_digest: str
    logs: dict[str, LogSeries] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """SHA-256 of what the file really holds; equals `written_digest` if it is whole."""
        return digest_arrays(self.arrays, self.ledger)


def read_product(data: bytes) -> StoredProduct:
    """Return the counts and the ledger of a file that `nexus_bytes` made.

    Parameters
    ----------
    data : bytes
        The file.

    Raises
    ------
    Alert
        It is not such a file, or it is damaged.
    """
    try:
        with h5py.File(io.BytesIO(data), "r") as file:
            return _read_entry(file["entry"])
    # Damage can turn any object of the file into one of another type.
    except (OSError, LookupError, ValueError, RuntimeError, TypeError, AttributeError) as problem:
        what = f"The stored NeXus file cannot be read: {problem}."
        raise Alert(what, "Materialize the run again: its offsets are kept.") from problem


def _read_entry(entry: h5py.Group) -> StoredProduct:
    """Return the product in an NXentry."""
    n_periods = int(entry["number_of_periods"][()])
    instrument = entry["instrument"]
    banks = list(instrument.attrs["banks"])
    tof = entry["tof_spectrum/counts"][()].reshape(n_periods, -1)
    images = [instrument[f"{bank}/data"][()].reshape(n_periods, -1) for bank in banks]
    arrays = {
        "tof": tof,
        "pixel": np.concatenate(images, axis=1),
        "events_per_second": entry["event_rate/events_per_second"][()],
        "charge_quanta_per_second": entry["proton_charge/charge_quanta"][()],
    }
    if f"{banks[0]}_pixel_tof" in entry:
        cells = [entry[f"{bank}_pixel_tof/counts"][()] for bank in banks]
        bins = tof.shape[1]
        arrays["pixel_tof"] = np.concatenate([c.reshape(n_periods, -1, bins) for c in cells], axis=1)
    return StoredProduct(
        run_name=entry["run_name"].asstr()[()],
        partition_key=entry["entry_identifier"].asstr()[()],
        arrays=arrays,
        ledger={name: int(column[()]) for name, column in entry["ledger"].items()},
        written_digest=entry["content_sha256"].asstr()[()],
        logs=read_logs(entry),
    )
