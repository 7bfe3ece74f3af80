"""Writes `.frames` files, frame by frame, so that readers can follow: see `runstart.frame_files.raw`."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any, Self

import crc32c
import numpy as np
from numpy.typing import ArrayLike, NDArray

from runstart.errors import Alert
from runstart.frame_files.raw import END, FINAL, FRAME, RECORD, SLOT, raw_layout
from runstart.frame_files.raw_header import RawHeader, header_to_bytes
from runstart.frame_files.source import ScanHeader

__all__ = ["RawWriter"]


class RawWriter:
    """A new `.frames` file; the same frames give the same bytes. As a context manager it closes itself.

    Parameters
    ----------
    path : Path
        The file, which must not exist.
    header : ScanHeader
        Of the scan; dense.
    slot_records : bool, optional
        Whether each frame is stored with its slot and a checksum. Without, frames must be given in the order of slots
        and cannot be missing but at the end.

    Raises
    ------
    Alert
        If there is such a file, or it cannot be written.
    ValueError
        If the header cannot be.
    """

    def __init__(self, path: Path, header: ScanHeader, *, slot_records: bool = True) -> None:
        self.header = header
        fields = {name: getattr(header, name) for name in RawHeader.model_fields if hasattr(header, name)}
        raw_header = RawHeader(**fields, slot_records=slot_records)
        begin = header_to_bytes(raw_header)
        self._layout = raw_layout(raw_header, len(begin))
        self._has_records = slot_records
        self._slots: list[NDArray[np.int64]] = []
        self._count = 0
        try:
            self._file = Path(path).open("xb")  # noqa: SIM115 - closed by close
        except FileExistsError:
            raise Alert(f"There is a file {path} already.", "Choose another name, or remove it.") from None
        except OSError as error:
            raise Alert(f"{path} cannot be written: {error.strerror}.", "Choose another folder.") from error
        self._file.write(begin)

    @property
    def frame_count(self) -> int:
        """Frames written so far."""
        return self._count

    def append(self, pixels: ArrayLike, slots: ArrayLike | None = None) -> None:
        """Write frames.

        Parameters
        ----------
        pixels : array-like, shape (n, rows, columns)
            Of the header's shape and type.
        slots : array-like of int, shape (n,), optional
            By default those that follow, in order, the frames written so far.

        Raises
        ------
        ValueError
            If they do not fit.
        """
        stored, placed = self._checked(np.asarray(pixels), slots)
        if not self._has_records:
            self._file.write(stored.reshape(-1).data.cast("B") if stored.size else b"")
        else:
            self._write_with_records(stored, placed)
            self._slots.append(placed)
        self._count += len(stored)

    def flush(self) -> None:
        """Let readers see all that was written."""
        self._file.flush()

    def close(self) -> None:
        """Write that no frame follows, and close the file."""
        if self._file.closed:
            return
        table = np.concatenate([np.zeros(0, np.int64), *self._slots]).astype(SLOT).tobytes()
        for kind, rest in ((END, table), (FINAL, b"")):
            self._file.write(np.array((self._count, crc32c.crc32c(table), kind), RECORD).tobytes() + rest)
        self._file.close()

    def abandon(self) -> None:
        """Close the file as it is, as if its writer had been killed."""
        self._file.close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file; abandon it after an error."""
        if kind is None:
            self.close()
        else:
            self.abandon()

    def _write_with_records(self, pixels: NDArray[Any], slots: NDArray[np.int64]) -> None:
        padding = bytes(self._layout.tail)
        for frame, slot in zip(pixels, slots.tolist(), strict=True):
            data = frame.reshape(-1).data.cast("B")
            self._file.write(np.array((slot, crc32c.crc32c(data), FRAME), RECORD).tobytes())
            self._file.write(data)
            self._file.write(padding)

    def _checked(self, pixels: NDArray[Any], slots: ArrayLike | None) -> tuple[NDArray[Any], NDArray[np.int64]]:
        if pixels.shape[1:] != self.header.frame_shape or pixels.ndim != 3:
            raise ValueError(f"frames of shape {pixels.shape}, not (n, {self.header.frame_shape})")
        if pixels.dtype.newbyteorder("=") != np.dtype(self.header.dtype):
            raise ValueError(f"frames of type {pixels.dtype}, not {self.header.dtype}")
        following = np.arange(self._count, self._count + len(pixels), dtype=np.int64)
        placed = following if slots is None else np.array(slots, np.int64)
        if placed.shape != (len(pixels),):
            raise ValueError(f"{placed.shape} slots of {len(pixels)} frames")
        if not self._has_records and not np.array_equal(placed, following):
            raise ValueError("without slot records, frames are written in the order of slots")
        if placed.size and not 0 <= placed.min() <= placed.max() < self.header.expected:
            raise ValueError(f"a slot outside 0 to {self.header.expected - 1}")
        return np.ascontiguousarray(pixels, self._layout.dtype.newbyteorder("=")), placed
