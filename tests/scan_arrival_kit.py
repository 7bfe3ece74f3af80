"""A microscope's folder that is looked at as a sensor does, and files of frames that are put there."""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path
from typing import Any

import numpy as np
from scan_work_kit import draw_frames, make_microscope, write_scan

from runstart.frame_files import RawWriter, ScanHeader
from runstart.scans import FoundScan, FoundScans, find_scans
from runstart.storage import ObjectStore

NOW = dt.datetime(2026, 6, 1, 9, 0, tzinfo=dt.UTC)
SETTLE_S, GIVE_UP_S = 5.0, 60.0


class Eye:
    """Looks at a folder again and again, with the cursor that it kept and a clock of its own."""

    def __init__(self, folder: Path, store: ObjectStore) -> None:
        self.folder = folder
        self.store = store
        self.microscope = make_microscope(folder, settle_seconds=SETTLE_S, give_up_seconds=GIVE_UP_S)
        self.cursor: str | None = None
        self.now = NOW

    def look(self, *, is_kept: bool = True, **options: Any) -> FoundScans:
        found = find_scans(self.microscope, self.cursor, self.store, now=self.now, **options)
        if is_kept:
            self.cursor = found.cursor
        return found

    def wait(self, seconds: float) -> None:
        self.now += dt.timedelta(seconds=seconds)

    def touch(self, path: Path, age_s: float = 0.0) -> Path:
        """Let a file have been changed so long ago, by this clock."""
        written = self.now.timestamp() - age_s
        os.utime(path, (written, written))
        return path

    def put_array(self, name: str, age_s: float = 1000.0, *, seed: int = 0) -> Path:
        """Put a NumPy file there."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, draw_frames(seed, 6).reshape(2, 3, 16, 12))
        return self.touch(path, age_s)

    def put_frames(self, name: str, age_s: float = 1000.0, *, seed: int = 0, closed: bool = True) -> Path:
        """Put a `.frames` file there."""
        return self.touch(write_scan(self.folder / name, draw_frames(seed, 30), closed=closed), age_s)

    def begin(self, name: str, **changes: Any) -> RawWriter:
        """Begin a `.frames` file."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        header = ScanHeader(**{"scan_shape": (5, 6), "frame_shape": (16, 12), "dtype": "uint16"} | changes)
        writer = RawWriter(path, header)
        writer.flush()
        self.touch(path)
        return writer


def names(found: FoundScans) -> list[str]:
    return [scan.record.name for scan in found.scans]


def launched(found: FoundScans) -> list[str]:
    return [scan.record.name for scan in found.scans if scan.launch]


def only(found: FoundScans) -> FoundScan:
    (scan,) = found.scans
    return scan
