"""Products of scans for tests: a crystal with a vacuum edge, as sums and as electron events."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from runstart.frame_files import ScanHeader
from runstart.frames import Counting, Crop, Detector, Recipe, SparseFrames
from runstart.scans.model import Accounting, ScanProduct

CALIBRATION = {"scan_step_nm": 0.05, "mrad_per_pixel": 0.5, "voltage_kv": 300.0}
DETECTORS = (
    Detector(name="dark_field", inner=8, outer=15),
    Detector(name="bright_field", outer=6),
    Detector(name="annular_bright_field", inner=3, outer=6),
)


def make_product(
    scan_shape: tuple[int, int] = (12, 16),
    frame_shape: tuple[int, int] = (32, 30),
    *,
    detectors: tuple[Detector, ...] = DETECTORS,
    calibration: dict[str, float] | None = None,
    seen: float = 1.0,
    **changes: Any,
) -> ScanProduct:
    """Return a product of which the first positions, up to a part of all, have a frame."""
    rng = np.random.default_rng(4)
    count = scan_shape[0] * scan_shape[1]
    frame_counts = (np.arange(count) < round(seen * count)).astype(np.uint32).reshape(scan_shape)
    gone = frame_counts == 0
    rows, columns = np.indices(scan_shape)
    crystal = np.where(columns < 0.7 * scan_shape[1], np.cos(rows * 1.3) * np.cos(columns * 1.1), 0.0)
    center = (15.25, 14.5)
    center_of_mass = np.stack([center[1] + crystal, center[0] - 0.5 * crystal]).astype(np.float32)
    center_of_mass[:, gone] = np.nan
    images = {d.name: np.where(gone, np.nan, 40 + 20 * crystal + rng.normal(size=scan_shape)) for d in detectors}
    radius = np.hypot(np.arange(frame_shape[0])[:, None] - center[0], np.arange(frame_shape[1]) - center[1])
    pattern = rng.poisson(int(frame_counts.sum()) * np.exp(-((radius / 6) ** 4)) * 5).astype(np.uint64)
    number = int(frame_counts.sum())
    fields: dict[str, Any] = {
        "microscope": "team05",
        "scan": "scan_000001",
        "header": ScanHeader(
            scan_shape, frame_shape, "uint16", 1, "1", "2026-03-02T09:14:07Z", dict(calibration or {})
        ),
        "recipe": Recipe(
            counting=Counting(), crop=Crop(half_rows=12.0, half_columns=11.5), detectors=detectors, center=None
        ),
        "accounting": Accounting(count, number, number),
        "center": center,
        "frame_counts": frame_counts,
        "center_of_mass": center_of_mass,
        "virtual_images": images,
        "pattern": pattern,
        "phase": np.where(gone, np.nan, crystal).astype(np.float32),
        "ended": "complete",
    }
    return ScanProduct(**{**fields, **changes})


def with_events(product: ScanProduct) -> ScanProduct:
    """Return the product with as many electrons in each frame as the number of its position says."""
    positions = np.flatnonzero(product.frame_counts).astype(np.int64)
    starts = np.concatenate([[0], np.cumsum(positions)]).astype(np.int64)
    events = np.arange(starts[-1]).astype(np.uint32) % 900
    return replace(product, events=SparseFrames(positions, starts, events, product.header.frame_shape))
