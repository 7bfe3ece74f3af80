"""Opens the frames of a scan by its record: the file that was found, or what was kept of a stream."""

from __future__ import annotations

from typing import Any

from runstart.errors import Alert
from runstart.frame_files import Blob, FrameSource, open_frames
from runstart.microscopes import Microscope
from runstart.places import FileGone
from runstart.scans._places import open_place
from runstart.scans.model import ScanRecord
from runstart.storage import ObjectMissing, ObjectStore

STREAMED_FRAMES = "raw.batches"


def open_scan(microscope: Microscope, record: ScanRecord, store: ObjectStore, s3_client: Any = None) -> FrameSource:
    """Return the frames of a scan.

    Parameters
    ----------
    microscope : Microscope
        Whose.
    record : ScanRecord
        As it was found.
    store : ObjectStore
        Has the frames of a streamed scan.
    s3_client : botocore.client.S3, optional
        For a bucket; by default one made from the standard AWS environment variables.

    Raises
    ------
    Alert
        If the file is gone, is another than that of the record, or cannot be read.
    Transient
        If disk or store do not answer.
    """
    if record.stream is not None:
        return _open_streamed(microscope, record, store)
    place = open_place(microscope, s3_client)
    try:
        source, version = place.open(*place.find_with_sidecar(record.name))
    except FileGone:
        where = f"{microscope.scans.rstrip('/')}/{record.name}"
        what = f"{where}, the file of scan {record.scan} of {microscope.name}, is gone or was just replaced."
        raise Alert(what, "Put it back, or process the scan that has taken its place.") from None
    if version != record.version:
        source.close()
        what = f"{record.name} is another file than the one that was found as scan {record.scan}."
        remedy = "Process the newest version: the sensor finds it and starts a run."
        raise Alert(what, remedy)
    return source


def streamed_frames_key(microscope: Microscope, scan: str) -> str:
    """Return where the frames of a streamed scan are kept in the object store."""
    return f"{microscope.folder(scan)}/{STREAMED_FRAMES}"


def _open_streamed(microscope: Microscope, record: ScanRecord, store: ObjectStore) -> FrameSource:
    key = streamed_frames_key(microscope, record.scan)
    try:
        data = store.get(key).data
    except ObjectMissing:
        what = f"No frames of the streamed scan {record.scan} of {microscope.name} were kept."
        raise Alert(what, "Follow it while it is streamed; once the topic has dropped it, it is gone.") from None
    return open_frames(_Kept(key, data))


class _Kept(Blob):
    """An object in memory."""

    def __init__(self, name: str, data: bytes) -> None:
        self.name = name
        self._data = memoryview(data)

    def size(self) -> int:
        return len(self._data)

    def read_into(self, offset: int, buffer: memoryview) -> int:
        piece = self._data[offset : offset + len(buffer)]
        buffer[: len(piece)] = piece
        return len(piece)

    def close(self) -> None:
        """Do nothing: the memory goes with the last who has it."""
