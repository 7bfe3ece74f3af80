"""Raw binary frames: our `.frames` files, and files without a header that a JSON file beside them describes.

Behind its header (see `raw_header`) a `.frames` file holds frame after frame, all little-endian. With slot records each
is preceded by a record of 16 bytes: slot (uint64), CRC-32C of the pixels (uint32), and `FRM1`; and followed by zeros up to
a multiple of 16 bytes. A writer that ends closes the file, early or not: by a record with the number of frames, the
CRC-32C of the table that follows, and `END1`; a table of all slots (int64), if there are slot records; and the same record
again with `FIN1`. So a file is appended to and never changed, and a reader sees whole frames only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import crc32c
import numpy as np
from numpy.typing import NDArray

from runstart.frame_files._limits import check_range, positions_of, refused
from runstart.frame_files._strided import Layout, StridedSource
from runstart.frame_files.blob import Blob
from runstart.frame_files.raw_header import RawHeader, Sidecar, read_header, read_sidecar
from runstart.frame_files.source import NO_SLOT, FrameSource
from runstart.frames import DenseFrames

__all__ = ["END", "FINAL", "FRAME", "RECORD", "SLOT", "open_raw", "open_sidecar_raw", "raw_layout"]

RECORD = np.dtype([("slot", "<u8"), ("crc", "<u4"), ("kind", "<u4")])
SLOT = np.dtype("<i8")
FRAME, END, FINAL = (int.from_bytes(kind, "little") for kind in (b"FRM1", b"END1", b"FIN1"))
_ALIGNMENT = 16
_AT_ONCE = 2**16  # records


def open_raw(blob: Blob) -> RawSource:
    """Return the frames of a `.frames` file, which owns the blob from now on.

    Raises
    ------
    Alert
        If the file ends within its header, or the header cannot be, or says another size.
    """
    header, start = read_header(blob)
    return RawSource(blob, header, start)


def open_sidecar_raw(blob: Blob, sidecar: bytes, sidecar_name: str) -> FrameSource:
    """Return the frames of a file without a header, which owns the blob from now on.

    Raises
    ------
    Alert
        If what describes it is wrong, or the file is longer than that says.
    """
    described: Sidecar = read_sidecar(sidecar, sidecar_name)
    layout = Layout(
        start=described.offset_bytes,
        frame_shape=described.frame_shape,
        dtype=np.dtype(described.dtype).newbyteorder(described.byte_order),
        lead=described.frame_header_bytes,
        tail=described.frame_footer_bytes,
    )
    return StridedSource(blob, described.scan_header(sidecar_name), layout)


def raw_layout(header: RawHeader, start: int) -> Layout:
    """Return where the frames of a `.frames` file lie."""
    dtype = np.dtype(header.dtype).newbyteorder("<")
    lead = RECORD.itemsize if header.slot_records else 0
    pixel_bytes = math.prod(header.frame_shape) * dtype.itemsize
    tail = -pixel_bytes % _ALIGNMENT if header.slot_records else 0
    return Layout(start, header.frame_shape, dtype, lead, tail)


class RawSource(StridedSource):
    """A `.frames` file.

    A frame whose record is damaged has no slot. A frame whose pixels do not have the checksum of their record keeps its
    slot, but is read with the position -1; `damaged` counts both, each once.

    Parameters
    ----------
    blob : Blob
        The file.
    header : RawHeader
        Its header.
    start : int
        Offset of the first frame.
    """

    def __init__(self, blob: Blob, header: RawHeader, start: int) -> None:
        self._has_records = header.slot_records
        self._slots = np.zeros(0, np.int64)
        self._is_ended = False
        super().__init__(blob, header.scan_header(blob.name), raw_layout(header, start))

    @property
    def is_closed(self) -> bool:
        if self._is_ended or not self._has_records:
            return self._is_ended or self._count >= self._stored
        if self._count < self._stored:
            return False
        placed = self._slots[self._slots != NO_SLOT]
        return len(np.unique(placed)) == self._stored

    def look(self) -> int:
        size = self._blob.size()
        if self._is_ended:
            if size != self._ended_size(self._count):
                raise refused(self._blob.name, "has changed since its writer closed it", "Copy it again.")
        elif not self._look_for_end(size):
            if self._has_records:
                self._look_at_records(size)
            else:
                self._look_at_size(self._without_part_of_end(size))
        return self._count

    def slots(self, start: int, stop: int) -> NDArray[np.int64]:
        if not self._has_records:
            return super().slots(start, stop)
        check_range(start, stop, self._count)
        return self._slots[start:stop].copy()

    def read(self, start: int, stop: int) -> DenseFrames:
        if not self._has_records:
            return super().read(start, stop)
        check_range(start, stop, self._count)
        pixels, leads = self._fetch(start, stop)
        records = leads.reshape(-1).view(RECORD)
        slots = self._slots[start:stop].copy()
        checksums = [crc32c.crc32c(frame.reshape(-1).data.cast("B")) for frame in pixels]
        is_sound = (records["kind"] == FRAME) & (records["slot"] == slots.astype(np.uint64))
        slots[~(is_sound & (records["crc"] == np.array(checksums, np.uint32)))] = NO_SLOT
        self._note_damaged(start + np.flatnonzero(slots == NO_SLOT))
        return DenseFrames(positions_of(slots, self.header.frames_per_position), pixels)

    def verify(self, start: int, stop: int) -> NDArray[np.bool_]:
        """Return which frames are sound: their records and checksums are right. Reads their pixels.

        Raises
        ------
        Alert
            If the file is shorter than it was.
        """
        return self.read(start, stop).positions >= 0

    def _ended_size(self, count: int) -> int:
        """Return the size of a closed file."""
        per_slot = SLOT.itemsize if self._has_records else 0
        return self._layout.offset(count) + 2 * RECORD.itemsize + count * per_slot

    def _without_part_of_end(self, size: int) -> int:
        """Return a size without the two records at the end, if not all of them is there yet."""
        end = self._layout.offset(self._stored)
        return end if end < size < end + 2 * RECORD.itemsize else size

    def _look_for_end(self, size: int) -> bool:
        """Tell whether the writer has closed the file, and take what it says from its end."""
        if size < self._ended_size(0):
            return False
        final = self._records([size - RECORD.itemsize])[0]
        if final["kind"] != FINAL:
            return False
        count = int(final["slot"])
        if size != self._ended_size(count) or not (self._has_records or count <= self._stored):
            what = f"says at its end that it holds {count} frames, which does not fit its {size} bytes"
            raise refused(self._blob.name, what)
        self._count, self._is_ended = count, True
        if self._has_records:
            self._take_table(int(final["crc"]))
        return True

    def _take_table(self, checksum: int) -> None:
        """Take the slots of a closed file from the table at its end; if that is damaged, from the records."""
        length = self._count * SLOT.itemsize
        table = self._blob.read(self._layout.offset(self._count) + RECORD.itemsize, length)
        if len(table) == length and crc32c.crc32c(table) == checksum:
            self._slots = self._checked(np.frombuffer(table, SLOT).astype(np.int64), 0)
            return
        offsets = [self._layout.offset(index) for index in range(self._count)]
        self._slots = self._slots_of(self._records(offsets), 0)

    def _look_at_records(self, size: int) -> None:
        """Take the slots of frames that are new, up to the end of the file or of its frames."""
        count, whole = self._count, self._layout.whole_frames(size)
        if whole < count:
            raise refused(self._blob.name, f"has {whole} frames, and had {count}", "Copy it again.")
        found = [self._slots]
        while count < whole:
            indices = range(count, min(count + _AT_ONCE, whole))
            records = self._records([self._layout.offset(index) for index in indices])
            ends = np.flatnonzero((records["kind"] == END) & (records["slot"] == np.array(indices, np.uint64)))
            new = records[: ends[0]] if len(ends) else records
            found.append(self._slots_of(new, count))
            count += len(new)
            if len(ends):
                break
        self._slots, self._count = np.concatenate(found), count

    def _records(self, offsets: Sequence[int]) -> NDArray[np.void]:
        return self._blob.read_pieces(offsets, RECORD.itemsize).reshape(-1).view(RECORD)

    def _slots_of(self, records: NDArray[np.void], first: int) -> NDArray[np.int64]:
        slots = np.where(records["kind"] == FRAME, records["slot"].astype(np.int64), NO_SLOT)
        return self._checked(slots, first)

    def _checked(self, slots: NDArray[np.int64], first: int) -> NDArray[np.int64]:
        """Return slots of frames from an index on, without those that the scan does not have."""
        slots[(slots < 0) | (slots >= self.header.expected)] = NO_SLOT
        self._note_damaged(first + np.flatnonzero(slots == NO_SLOT))
        return slots
