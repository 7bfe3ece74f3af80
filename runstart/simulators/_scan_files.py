"""Writes the frames of a scan in the format of its plan, one after another."""

from __future__ import annotations

import contextlib
import errno
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runstart.errors import Alert
from runstart.frame_files import BatchWriter, RawWriter, ScanHeader, batch_header
from runstart.frames import SparseFrames
from runstart.simulators._scan_crystal import mrad_per_pixel
from runstart.simulators.scan_plan import FrameFormat, ScanPlan

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class FrameFile(ABC):
    """A file of frames that is being written."""

    def __init__(self, path: Path, plan: ScanPlan) -> None:
        self.path = path
        self.plan = plan

    @abstractmethod
    def append(self, slot: int, frame: NDArray[Any]) -> None:
        """Add the frame of a slot: its pixels; in batches its events."""

    @abstractmethod
    def flush(self) -> None:
        """Let readers see what was added."""

    @abstractmethod
    def finish(self) -> None:
        """Say that no frame follows, if the format can."""

    @abstractmethod
    def close(self) -> None:
        """Let the file go as it is."""


@contextlib.contextmanager
def open_frame_file(path: Path, plan: ScanPlan) -> Iterator[FrameFile]:
    """Open a new file for the frames of a scan; what is not finished stays as it is.

    Raises
    ------
    Alert
        The folder cannot be written to, the file is there already, or the disk is full.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.closing(_KINDS[plan.format](path, plan)) as file:
            yield file
    except OSError as error:
        remedy = "Make room on the disk." if error.errno in _FULL else "Choose a folder that you may write to."
        raise Alert(f"{path} cannot be written: {error.strerror or error}.", remedy) from error


def _calibration(plan: ScanPlan) -> dict[str, float]:
    return {
        "scan_step_nm": plan.scan_step_nm,
        "mrad_per_pixel": mrad_per_pixel(plan),
        "voltage_kv": plan.voltage_kv,
    }


class _RawFile(FrameFile):
    """Dense frames with their slots."""

    def __init__(self, path: Path, plan: ScanPlan) -> None:
        super().__init__(path, plan)
        header = ScanHeader(
            scan_shape=plan.scan_shape,
            frame_shape=plan.frame_shape,
            dtype="uint16",
            frames_per_position=plan.frames_per_position,
            scan=plan.name,
            started=plan.started_text,
            calibration=_calibration(plan),
        )
        self._writer = RawWriter(path, header)
        self._writer.flush()

    def append(self, slot: int, frame: NDArray[Any]) -> None:
        self._writer.append(frame[None], [slot])

    def flush(self) -> None:
        self._writer.flush()

    def finish(self) -> None:
        self._writer.close()

    def close(self) -> None:
        self._writer.abandon()


class _BatchFile(FrameFile):
    """Batches of events: what was added between two flushes is one."""

    def __init__(self, path: Path, plan: ScanPlan) -> None:
        super().__init__(path, plan)
        self._writer = BatchWriter(path)
        self._writer.flush()
        self._slots: list[int] = []
        self._events: list[NDArray[np.uint32]] = []
        self._batches = 0

    def append(self, slot: int, frame: NDArray[Any]) -> None:
        self._slots.append(slot)
        self._events.append(frame)

    def flush(self) -> None:
        if not self._slots:
            return
        slots = np.array(self._slots, np.int64)
        starts = np.cumsum([0, *map(len, self._events)], dtype=np.int64)
        positions = slots // self.plan.frames_per_position
        frames = SparseFrames(positions, starts, np.concatenate(self._events), self.plan.frame_shape)
        header = batch_header(
            frames,
            self.plan.scan_shape,
            scan_number=self.plan.number,
            frame_numbers=slots,
            total_frames=self.plan.slots,
            current_batch_index=self._batches,
        )
        self._writer.write(header, frames)
        self._writer.flush()
        self._batches += 1
        self._slots, self._events = [], []

    def finish(self) -> None:
        self.flush()
        self._writer.close()

    def close(self) -> None:
        self._writer.abandon()


class _NumpyFile(FrameFile):
    """A NumPy array that grows; its header says from the start what it shall be."""

    def __init__(self, path: Path, plan: ScanPlan) -> None:
        super().__init__(path, plan)
        shape = (*plan.scan_shape, *plan.frame_shape)
        self._file = path.open("xb")
        np.lib.format.write_array_header_1_0(self._file, {"descr": "<u2", "fortran_order": False, "shape": shape})
        self._file.flush()

    def append(self, slot: int, frame: NDArray[Any]) -> None:
        del slot
        self._file.write(frame.astype("<u2", copy=False).data)

    def flush(self) -> None:
        self._file.flush()

    def finish(self) -> None:
        self._file.close()

    def close(self) -> None:
        self._file.close()


class _Hdf5File(FrameFile):
    """A NeXus file under a hidden name, until it is whole: nobody can read an HDF5 file that is being written."""

    def __init__(self, path: Path, plan: ScanPlan) -> None:
        import h5py

        super().__init__(path, plan)
        self._part = path.with_name(f".{path.name}.part")
        self._file = h5py.File(self._part, "w")
        entry = self._file.create_group("entry")
        data = entry.create_group("data")
        shape = (*plan.scan_shape, *plan.frame_shape)
        self._frames = data.create_dataset("frames", shape, "<u2", track_times=False)
        names = ("scan_row", "scan_column", "row", "column")
        steps = [(plan.scan_step_nm, "nm")] * 2 + [(mrad_per_pixel(plan), "mrad")] * 2
        for name, length, (step, unit) in zip(names, shape, steps, strict=True):
            axis = data.create_dataset(name, data=np.arange(length) * step, track_times=False)
            axis.attrs["units"] = unit
        entry.create_dataset("title", data=plan.name, track_times=False)
        entry.create_dataset("start_time", data=plan.started_text, track_times=False)
        self._file.attrs["default"] = "entry"
        entry.attrs.update({"NX_class": "NXentry", "default": "data"})
        data.attrs.update({"NX_class": "NXdata", "signal": "frames", "axes": names})

    def append(self, slot: int, frame: NDArray[Any]) -> None:
        self._frames[divmod(slot, self.plan.scan_shape[1])] = frame

    def flush(self) -> None:
        """Nothing is seen of it before its end."""

    def finish(self) -> None:
        self._file.close()
        self._part.replace(self.path)

    def close(self) -> None:
        self._file.close()
        self._part.unlink(missing_ok=True)


_KINDS: dict[FrameFormat, type[FrameFile]] = {
    FrameFormat.FRAMES: _RawFile,
    FrameFormat.BATCHES: _BatchFile,
    FrameFormat.NPY: _NumpyFile,
    FrameFormat.HDF5: _Hdf5File,
}
