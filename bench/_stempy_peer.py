"""Electron counting with stempy: its loop over frames in memory, and its threaded reader of a detector's files.

The reader finds its thresholds by itself, in numbers of standard deviations; what it found is asked of it afterwards.
Of its two threaded readers only the one of two passes runs here: the other dies of a segmentation fault (3.6.0).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from stempy import image as stempy_image
from stempy import io as stempy_io

SIDE = 576  # the only frames that its readers of files know
_SECTORS = 4
_SECTOR = np.dtype(
    [
        ("scan", "<u4"),
        ("frame", "<u4"),
        ("scan_columns", "<u2"),
        ("scan_rows", "<u2"),
        ("column", "<u2"),
        ("row", "<u2"),
        ("pixels", "<u2", (SIDE // _SECTORS, SIDE)),
    ]
)
# Of the noise for background, of all pixels for x-rays: about the thresholds that the frames are made for.
_SIGMAS_OF_BACKGROUND, _SIGMAS_OF_X_RAYS = 4, 150


@dataclass(frozen=True)
class CountedByReader:
    """Events of each frame, and the thresholds that were found."""

    events: list[NDArray[np.uint32]]
    background_threshold: float
    xray_threshold: float


def count_in_loop(
    frames: NDArray[np.uint16], background_threshold: float, xray_threshold: float
) -> list[NDArray[np.uint32]]:
    """Return the events of each frame: `stempy.image.electron_count_frame` for one after the other."""
    return [
        stempy_image.electron_count_frame(
            frame, background_threshold=background_threshold, xray_threshold=xray_threshold
        ).data[0, 0]
        for frame in frames
    ]


def count_with_reader(paths: Sequence[Path], threads: int) -> CountedByReader:
    """Return the events of each frame of the files that `write_sectors` has written, with thresholds of its own."""
    reader = stempy_io.reader(
        [str(path) for path in paths], version=stempy_io.FileVersion.VERSION5, backend="multi-pass", threads=threads
    )
    counted = stempy_image.electron_count(
        reader,
        number_of_samples=20,
        background_threshold_n_sigma=_SIGMAS_OF_BACKGROUND,
        xray_threshold_n_sigma=_SIGMAS_OF_X_RAYS,
    )
    found = counted.metadata["electron_counting"]
    return CountedByReader(list(counted.data[:, 0]), found["background_threshold"], found["x_ray_threshold"])


def write_sectors(folder: Path, frames: NDArray[np.uint16]) -> list[Path]:
    """Write frames of one row of a scan as the four modules of a detector do, and return the paths."""
    paths = []
    for sector in range(_SECTORS):
        records = np.zeros(len(frames), _SECTOR)
        records["scan"], records["frame"] = 1, np.arange(len(frames))
        records["scan_columns"], records["scan_rows"], records["column"] = len(frames), 1, np.arange(len(frames))
        rows = SIDE // _SECTORS
        records["pixels"] = frames[:, sector * rows : (sector + 1) * rows]
        paths.append(folder / f"data_scan0000000001_module{sector}.data")
        records.tofile(paths[-1])
    return paths
