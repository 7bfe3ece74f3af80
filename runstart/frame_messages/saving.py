"""Counted scans as files: the events of a scan are collected, and written when it is complete, or over."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from runstart.errors import Alert
from runstart.frame_files import write_counted
from runstart.frame_messages.batches import ScanInfo
from runstart.frame_messages.scan_sums import KeptEvents
from runstart.frame_messages.tables import table_message
from runstart.frames import SparseFrames
from runstart.operators import BytesMessage


class CountedSums(KeptEvents):
    """The events of a scan.

    Parameters
    ----------
    scan : ScanInfo
        As the first batch tells it.
    folder : Path
        Where files are written.
    """

    def __init__(self, scan: ScanInfo, folder: Path) -> None:
        super().__init__(scan)
        self._folder = folder

    def result(self, parameters: Mapping[str, Any]) -> BytesMessage:
        """Write the file `<scan number><suffix>.h5`, and return a table that says what it holds.

        A file that is there is kept: the new one gets a number behind its name.

        Raises
        ------
        Alert
            If it cannot be written.
        """
        events = self._events()
        path = _free_path(self._folder, f"{self.scan.scan_number}{parameters['suffix']}")
        part = path.with_name(f".{path.name}.part")
        each = int(np.bincount(events.positions).max())
        if self.scan.total_frames:
            each = max(each, self.scan.total_frames // self.scan.positions)
        try:
            write_counted(part, events, self.scan.scan_shape, self.scan.frame_shape, each)
            part.rename(path)
        except OSError as error:
            raise Alert(
                f"{path.name} cannot be written: {error.strerror}.", "Choose another output_dir."
            ) from error
        finally:
            part.unlink(missing_ok=True)
        about = self.about("counted scan")
        told = {key: about[key] for key in ("scan_number", "frames", "missing_positions")}
        return table_message(
            {"counted scans": [{"file": path.name, **told, "electrons": len(events.events)}]}, about
        )

    def _events(self) -> SparseFrames:
        batches = self._batches
        lengths = np.concatenate([np.diff(one.starts) for one in batches])
        starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        positions = np.concatenate([one.positions for one in batches])
        events = np.concatenate([one.events for one in batches])
        return SparseFrames(positions, starts, events, self.scan.frame_shape)


def _free_path(folder: Path, stem: str) -> Path:
    """Return a path that is not taken."""
    if not stem.isprintable() or "/" in stem or stem.startswith("."):
        raise Alert(f"{stem + '.h5'!r} is no name of a file.", "Correct the suffix.")
    path, number = folder / f"{stem}.h5", 1
    while path.exists():
        number += 1
        path = folder / f"{stem}-{number}.h5"
    return path
