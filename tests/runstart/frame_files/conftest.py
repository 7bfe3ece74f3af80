"""Small scans to be written into files."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from runstart.frame_files import ScanHeader
from runstart.frames import SparseFrames

SCAN, FRAME = (3, 4), (6, 5)


@pytest.fixture
def pixels() -> NDArray[Any]:
    """Frames of a scan of 3 x 4 positions, 6 x 5 pixels each."""
    return np.random.default_rng(1).integers(0, 60_000, (12, *FRAME)).astype(np.uint16)


@pytest.fixture
def header() -> ScanHeader:
    return ScanHeader(SCAN, FRAME, "uint16", 1, "7", "2026-05-01T12:00:00Z", {"scan_step_nm": 0.5})


@pytest.fixture
def events() -> SparseFrames:
    """Two frames at each position of a scan of 3 x 4, without the second of position 5; some are empty."""
    chance = np.random.default_rng(2)
    positions = np.delete(np.repeat(np.arange(12), 2), 11)
    lists = [chance.integers(0, 30, chance.integers(0, 6)).astype(np.uint32) for _ in positions]
    starts = np.cumsum([0, *map(len, lists)], dtype=np.int64)
    return SparseFrames(positions.astype(np.int64), starts, np.concatenate(lists), FRAME)
