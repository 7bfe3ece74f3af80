from __future__ import annotations

from pathlib import Path

import pytest
from data_operation_kit import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """An empty folder of FITS files, and a workplace that reads it."""
    return Bench.make(tmp_path)
