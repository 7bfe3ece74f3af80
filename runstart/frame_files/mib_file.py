"""Frames of a Merlin detector (Quantum Detectors, Medipix3), in one `.mib` file of integers (U08, U16 or U32).

Each frame is preceded by a header of ASCII fields, separated by commas: `MQ1`, number of the frame (from 1), bytes of the
header, chips, columns, rows, type of the pixels, layout of the chips. Pixels are big-endian. The numbers tell where frames
were dropped. The scan's shape stands in a `.hdr` file beside it, or is given. (Merlin's user manual, file formats.)
"""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from runstart.frame_files._limits import check_header, check_range, positions_of, refused
from runstart.frame_files._strided import Layout, StridedSource
from runstart.frame_files.blob import Blob
from runstart.frame_files.source import NO_SLOT, FrameSource, ScanHeader
from runstart.frames import DenseFrames, Shape

__all__ = ["MAGIC", "open_mib"]

MAGIC = b"MQ1,"
_FIELDS = re.compile(
    rb"MQ1,(?P<number>[0-9]{1,9}),(?P<length>[0-9]{1,6}),(?P<chips>[0-9]{1,2}),"
    rb"(?P<columns>[0-9]{1,5}),(?P<rows>[0-9]{1,5}),(?P<kind>[UR][0-9]{2}),"
)
_NUMBER = re.compile(rb"MQ1,([0-9]{1,9}),")
_BEGIN = 64  # bytes of a frame's header that are read for its first fields
_AT_ONCE = 2**16
_ANY_NUMBER = 2**40  # of frames, since their numbers tell which belong to the scan
_KINDS = {b"U08": ">u1", b"U16": ">u2", b"U32": ">u4"}
_LINES = {
    "frames": re.compile(r"^Frames in Acquisition \(Number\):\s*([0-9]{1,9})\s*$", re.MULTILINE),
    "columns": re.compile(r"^Frames per Trigger \(Number\):\s*([0-9]{1,9})\s*$", re.MULTILINE),
    "scan columns": re.compile(r"^ScanX:\s*([0-9]{1,9})\s*$", re.MULTILINE),
    "scan rows": re.compile(r"^ScanY:\s*([0-9]{1,9})\s*$", re.MULTILINE),
}


def open_mib(blob: Blob, scan_shape: Shape | None = None, hdr: bytes | None = None) -> FrameSource:
    """Return the frames of a Merlin file, which owns the blob from now on.

    Parameters
    ----------
    blob : Blob
        The file.
    scan_shape : tuple of int, optional
        Rows and columns of the scan; without it `hdr` says it, or else the scan is one row.
    hdr : bytes, optional
        What stands in the `.hdr` file.

    Raises
    ------
    Alert
        If the file ends within its first header, that cannot be, or pixels are stored raw.
    """
    begin = blob.read(0, _BEGIN)
    fields = _FIELDS.match(begin)
    if fields is None:
        raise refused(blob.name, "does not begin with the header of a Merlin frame", "Copy it again.")
    if fields["kind"] not in _KINDS:
        what = f"holds pixels of type {fields['kind'].decode()}, as the detector sends them in its raw mode"
        raise refused(blob.name, what, "Record or export it in the modes U08, U16 or U32 of the Merlin software.")
    dtype = np.dtype(_KINDS[fields["kind"]])
    frame_shape, length = (int(fields["rows"]), int(fields["columns"])), int(fields["length"])
    if length < _BEGIN:
        raise refused(blob.name, f"claims headers of {length} bytes, which cannot be")
    if scan_shape is None and hdr is not None:
        scan_shape = _scan_shape(hdr.decode("latin1"), blob.name)
    # Before the number of frames is known, the frame must be one that can be.
    check_header(ScanHeader((1, 1), frame_shape, dtype.name), blob.name)
    layout = Layout(0, frame_shape, dtype, lead=length)
    if scan_shape is None:
        scan_shape = (1, max(_last_number(blob, layout), 1))
    header = check_header(ScanHeader(scan_shape, frame_shape, dtype.name), blob.name)
    return _MibSource(blob, header, layout, min(int(fields["number"]), 1))


class _MibSource(StridedSource):
    """A Merlin file; a frame whose header is damaged, or whose number lies outside the scan, has no slot."""

    def __init__(self, blob: Blob, header: ScanHeader, layout: Layout, first: int) -> None:
        self._first = first
        self._slots = np.zeros(0, np.int64)
        super().__init__(blob, header, layout, _ANY_NUMBER)

    @property
    def is_closed(self) -> bool:
        last = self._slots[-1] if len(self._slots) else NO_SLOT
        return bool(last == self.header.expected - 1 or self._count >= self.header.expected)

    def slots(self, start: int, stop: int) -> NDArray[np.int64]:
        check_range(start, stop, self._count)
        return self._slots[start:stop].copy()

    def read(self, start: int, stop: int) -> DenseFrames:
        check_range(start, stop, self._count)
        pixels, _ = self._fetch(start, stop)
        return DenseFrames(positions_of(self.slots(start, stop), 1), pixels)

    def _prepare(self, count: int) -> None:
        found = [self._slots]
        for start in range(len(self._slots), count, _AT_ONCE):
            offsets = [self._layout.offset(index) for index in range(start, min(start + _AT_ONCE, count))]
            numbers = [_number(piece.tobytes()) for piece in self._blob.read_pieces(offsets, _BEGIN)]
            slots = np.array([NO_SLOT if number is None else number - self._first for number in numbers], np.int64)
            slots[(slots < 0) | (slots >= self.header.expected)] = NO_SLOT
            self._note_damaged(start + np.flatnonzero(slots == NO_SLOT))
            found.append(slots)
        self._slots = np.concatenate(found)


def _number(begin: bytes) -> int | None:
    found = _NUMBER.match(begin)
    return int(found[1]) if found else None


def _last_number(blob: Blob, layout: Layout) -> int:
    """Return how many frames were taken, as the last one's number says, or at least how many there are."""
    whole = layout.whole_frames(blob.size())
    if not whole:
        return 0
    return max(_number(blob.read(layout.offset(whole - 1), _BEGIN)) or 0, whole)


def _scan_shape(text: str, name: str) -> Shape:
    """Return the scan's rows and columns from a `.hdr` file."""
    found = {title: int(line[1]) for title, pattern in _LINES.items() if (line := pattern.search(text))}
    if found.get("scan rows") and found.get("scan columns"):
        return found["scan rows"], found["scan columns"]
    frames, columns = found.get("frames", 0), found.get("columns", 0)
    if not columns or not frames or frames % columns:
        what = f"has a .hdr file beside it that says no scan shape ({frames} frames, {columns} for each trigger)"
        raise refused(name, what, "Give the scan's shape.")
    return frames // columns, columns
