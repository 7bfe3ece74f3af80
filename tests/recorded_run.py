"""A recorded run as ISIS writes it, and numpy's histograms of it: the real one where it is, and one that is made.

Float microseconds become whole nanoseconds by `rint(float64(offset_us) * 1000)`, here as in `runstart replay`.
"""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray
from real_data import find_data_folder

from runstart.instruments import Instrument

N_EVENTS = 237_078
N_PULSES = 300
_NAME = "isis_sans2d_events.nxs"
RECORDED_TABLE = """
[instruments.{name}]
tof = {{ start_us = 0, stop_us = 100_000, bins = 1000 }}
views = ["tof", "pixel", "image"]
snapshot_interval = 1
display_interval = 2
grace = 1
hold_back = 0.3

[[instruments.{name}.banks]]
name = "monitors"
shape = [8]
first_detector_id = 1

[[instruments.{name}.banks]]
name = "rear"
shape = [120, 512]
first_detector_id = 9

[[instruments.{name}.banks]]
name = "front"
shape = [120, 512]
first_detector_id = 61_449
"""
"""The instrument of the recorded run, by any name, with short intervals."""


def find_recorded_run() -> Path | None:
    """Return the recorded SANS2D run; it is no part of the project."""
    path = find_data_folder()
    path = path / _NAME if path.is_dir() else path
    return path if path.is_file() else None


def make_recorded_run(path: Path) -> Path:
    """Write a file of the same layout, with as many events and pulses, one pulse of them empty."""
    rng = np.random.default_rng(2)
    counts = rng.multinomial(N_EVENTS, np.append(rng.dirichlet(np.full(N_PULSES - 1, 4.0)), 0.0))
    ring = rng.normal(30_000, 12_000, N_EVENTS)
    detector_id = np.clip(np.rint(np.abs(ring)), 1, 122_888).astype(np.uint32)
    offset_us = np.clip(rng.gamma(4.0, 9_000.0, N_EVENTS), 0, 99_999).astype(np.float32)
    with h5py.File(path, "w") as file:
        entry = file.create_group("raw_data_1")
        entry.attrs["NX_class"] = "NXentry"
        entry["start_time"] = [b"2016-04-12T02:58:52"]
        entry["name"] = [b"SANS2D"]
        entry["run_number"] = [34484]
        entry["framelog/proton_charge/value"] = rng.uniform(0.004, 0.008, N_PULSES).astype(np.float32)
        events = entry.create_group("detector_1_events")
        events.attrs["NX_class"] = "NXevent_data"
        events["event_id"] = detector_id
        events["event_time_offset"] = offset_us
        events["event_time_offset"].attrs["units"] = "microsecond"
        events["event_time_zero"] = np.arange(N_PULSES) * 0.1
        events["event_time_zero"].attrs["units"] = "second"
        events["event_index"] = (np.cumsum(counts) - counts).astype(np.uint64)
    return path


def histogram_recorded_run(
    path: Path, instrument: Instrument
) -> tuple[NDArray[np.int64], NDArray[np.int64], dict[str, int]]:
    """Return TOF spectrum, counts per pixel and what the ledger must say, by numpy alone."""
    with h5py.File(path, "r") as file:
        events = file["raw_data_1/detector_1_events"]
        detector_id = events["event_id"][()].astype(np.int64)
        offset_us = events["event_time_offset"][()]
    assert len(detector_id) == N_EVENTS
    tof_ns = np.rint(offset_us.astype(np.float64) * 1000).astype(np.int64)
    edges = instrument.tof.edges_ns()
    in_range = (tof_ns >= edges[0]) & (tof_ns < edges[-1])
    pixel = []
    known = np.zeros(N_EVENTS, bool)
    for bank in instrument.banks:
        first, end = bank.first_detector_id, bank.first_detector_id + bank.size
        known |= (detector_id >= first) & (detector_id < end)
        pixel.append(np.histogram(detector_id[in_range], bins=np.arange(first, end + 1) - 0.5)[0])
    good = in_range & known
    tof = np.histogram(tof_ns[good], bins=edges)[0]
    columns = {
        "events_read": N_EVENTS,
        "events_counted": int(good.sum()),
        "events_unknown_detector": int((~known).sum()),
        "events_out_of_tof_range": int((known & ~in_range).sum()),
    }
    return tof, np.concatenate(pixel), columns
