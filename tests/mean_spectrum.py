"""A stranger's algorithm: the mean TOF spectrum of a run's pixels, from the NeXus file that a live run leaves.

It is sent as raw code, so it stands by itself: h5py and numpy are all that it needs.
"""

import json
import os

import h5py
import numpy as np

inputs, outputs = os.environ["INPUTS"], os.environ["OUTPUTS"]
(name,) = json.loads(os.environ["DIDS"])
with h5py.File(f"{inputs}/{name}/0") as file:
    entry = file["entry"]
    counts = entry["tof_spectrum/counts"][()]
    edges_ns = entry["tof_spectrum/time_of_flight_edges_ns"][()]
    banks = [group for group in entry["instrument"].values() if isinstance(group, h5py.Group)]
    n_pixels = sum(group["detector_number"].size for group in banks)
mean = counts.reshape(-1, counts.shape[-1]).sum(axis=0) / n_pixels
rows = np.column_stack([edges_ns[:-1] / 1000, edges_ns[1:] / 1000, mean])
np.savetxt(f"{outputs}/mean_spectrum.csv", rows, delimiter=",", header="from_us,to_us,mean_counts", comments="")
print(f"{int(counts.sum())} counts in {n_pixels} pixels")  # noqa: T201 - what it prints is its log
