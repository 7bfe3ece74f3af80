"""Frames of scans, in memory and in files, for the benchmarks of frames.

Some frames are drawn and then repeated: how fast frames are read and summed does not depend on whether they differ.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from runstart.frame_files import RawWriter, ScanHeader
from runstart.frames import Detector, detector_masks

SEED = 20260101
THRESHOLDS = 28.0, 2000.0  # of background and x-rays
_DRAWN = 64
_CAMERA_LEVEL, _CAMERA_NOISE = 8.0, 5.0
_SPREAD = 0.35  # of an electron's signal, to each of some neighbours


def diffraction_frames(n: int, side: int) -> NDArray[np.uint16]:
    """Return patterns of a bright disc with a halo, in counts: `(n, side, side)`."""
    rng = np.random.default_rng(SEED)
    rows, columns = np.indices((side, side)) - (side - 1) / 2
    radius = np.hypot(rows, columns) / side
    mean = 40.0 * (radius < 0.12) + 6.0 * np.exp(-radius / 0.15) + 0.5
    return _repeat(rng.poisson(mean, (min(n, _DRAWN), side, side)).astype(np.uint16), n)


def detectors(side: int) -> NDArray[np.bool_]:
    """Return a bright-field disc and four rings around the middle: `(5, side, side)`."""
    edges = [0.0, 0.08, 0.16, 0.24, 0.35, 0.47]
    rings = [
        Detector(name=f"ring{k}", inner=inner * side, outer=outer * side)
        for k, (inner, outer) in enumerate(pairwise(edges))
    ]
    return detector_masks(rings, ((side - 1) / 2, (side - 1) / 2), (side, side))


def camera_frames(n: int, side: int, electrons: int) -> NDArray[np.uint16]:
    """Return frames of a direct electron detector with noise, electrons and x-rays, in its units: `(n, side, side)`.

    Parameters
    ----------
    n, side : int
        Frames, and rows and columns of each.
    electrons : int
        In a frame; each spreads to a neighbour or two.
    """
    rng = np.random.default_rng(SEED)
    frames = rng.normal(_CAMERA_LEVEL, _CAMERA_NOISE, (min(n, _DRAWN), side, side))
    for frame in frames:
        rows, columns = rng.integers(0, side, (2, electrons))
        signal = rng.normal(180.0, 60.0, electrons).clip(40, 600)
        np.add.at(frame, (rows, columns), signal)
        np.add.at(frame, (np.minimum(rows + 1, side - 1), columns), _SPREAD * signal)
        np.add.at(frame, (rows, np.maximum(columns - 1, 0)), _SPREAD * signal * (rng.random(electrons) < 0.5))
        frame[tuple(rng.integers(0, side, (2, 3)))] = 3000.0
    return _repeat(frames.clip(0, 65535).astype(np.uint16), n)


def write_scan(path: Path, frames: NDArray[np.uint16], n: int) -> None:
    """Write a `.frames` file of a scan of one row with `n` positions, whose frames repeat the ones given."""
    header = ScanHeader(scan_shape=(1, n), frame_shape=frames.shape[1:], dtype="uint16")
    with RawWriter(path, header) as writer:
        for start in range(0, n, len(frames)):
            writer.append(frames[: n - start])


def _repeat(frames: NDArray[np.uint16], n: int) -> NDArray[np.uint16]:
    repeated = np.empty((n, *frames.shape[1:]), np.uint16)
    for start in range(0, n, len(frames)):
        repeated[start : start + len(frames)] = frames[: n - start]
    return repeated
