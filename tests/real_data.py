"""Where real data lies that tests may use; it is no part of the project."""

from __future__ import annotations

import os
from pathlib import Path

ENVIRONMENT = "RUNSTART_TEST_DATA"


def find_data_folder() -> Path:
    """Return the folder that the environment names, or the usual one beside the checkout; it may not be there."""
    return Path(os.environ.get(ENVIRONMENT) or Path(__file__).resolve().parents[2] / "shared" / "data")


def find_real_frames() -> Path | None:
    """Return the folder of real FITS frames; None if it is not there."""
    folder = find_data_folder() / "fits"
    return folder if folder.is_dir() else None
