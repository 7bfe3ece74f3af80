"""Streams a file of electron events over Kafka as a detector does: an announcement, then batches of frames at a rate."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from runstart.errors import Alert
from runstart.simulators.pacing import NANOSECONDS_PER_SECOND, Pacer
from runstart.simulators.publishing import Publisher

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runstart.frame_files import FrameSource
    from runstart.microscopes import Announcements

BATCH_BYTES = 1_000_000  # of events in one message, as Kafka takes it without being told otherwise
_BETWEEN_BATCHES_S = 0.1


@dataclass(frozen=True)
class ScanStream:
    """One scan that is streamed.

    Attributes
    ----------
    publisher : Publisher
        Knows both topics.
    announcements : Announcements
        The microscope's; with a `frames_topic`.
    microscope, scan : str
        Name of the microscope, and the partition key that the scan is to have.
    number : int
        That its batches bear.
    source : FrameSource
        Electron events.

    Raises
    ------
    Alert
        If the file has pixels, or the microscope has no topic for frames.
    """

    publisher: Publisher
    announcements: Announcements
    microscope: str
    scan: str
    number: int
    source: FrameSource

    def __post_init__(self) -> None:
        if not self.source.header.is_sparse:
            raise Alert("A file of pixels cannot be streamed.", "Choose the format batches.")
        if self.announcements.frames_topic is None:
            what = f"{self.microscope} has no topic on which frames are streamed."
            raise Alert(what, "Declare frames_topic under its announcements in microscopes.toml.")

    def announce(self) -> None:
        """Announce the scan, and wait until the broker knows."""
        from runstart.scans.announcements import ScanAnnouncement, StreamedScan

        header = self.source.header
        stream = StreamedScan.model_validate(
            {
                "number": self.number,
                "scan_shape": header.scan_shape,
                "frame_shape": header.frame_shape,
                "frames_per_position": header.frames_per_position,
                "started": header.started,
                "calibration": header.calibration,
            }
        )
        announcement = ScanAnnouncement(microscope=self.microscope, scan=self.scan, stream=stream)
        self.publisher.send(self.announcements.topic, announcement.model_dump_json(exclude_none=True).encode())
        self.publisher.flush()

    def messages(self, start: int = 0, stop: int | None = None, most_frames: int = 4096) -> Iterator[bytes]:
        """Yield stored frames, each of which has a position, as messages.

        Parameters
        ----------
        start, stop : int, optional
            Which; by default all.
        most_frames : int, optional
            In one message.
        """
        from runstart.frame_files import batch_header, encode_batch, pack_message, split_into_batches
        from runstart.frames import SparseFrames

        header, end = self.source.header, self.source.frame_count if stop is None else stop
        sizes = np.maximum(self.source.sizes(start, end), BATCH_BYTES // most_frames)
        for first, last in split_into_batches(sizes, BATCH_BYTES, start):
            frames, slots = self.source.read(first, last), self.source.slots(first, last)
            if not isinstance(frames, SparseFrames):
                raise TypeError(f"a sparse file has given {type(frames).__name__}")
            about = batch_header(
                frames,
                header.scan_shape,
                scan_number=self.number,
                frame_numbers=slots,
                total_frames=header.expected,
            )
            yield pack_message(*encode_batch(about, frames))

    def send(
        self, start: int = 0, stop: int | None = None, *, rate: float = 0.0, until: threading.Event | None = None
    ) -> None:
        """Send stored frames, the partitions in turn, and wait until the broker has them.

        Parameters
        ----------
        start, stop : int, optional
            Which; by default all.
        rate : float, optional
            Frames a second; 0 sends as fast as it goes.
        until : threading.Event, optional
            Ends it when it is set.

        Raises
        ------
        Alert, Transient
            If the broker does not take them.
        """
        topic = self.announcements.frames_topic or ""
        partitions = self.publisher.partitions[topic]
        most_frames = max(1, int(rate * _BETWEEN_BATCHES_S)) if rate else 4096
        pacer = Pacer(1.0 if rate else None, until)
        for number, message in enumerate(self.messages(start, stop, most_frames)):
            due = int(number * most_frames / rate * NANOSECONDS_PER_SECOND) if rate else 0
            if not pacer.wait(due):
                break
            self.publisher.send(topic, message, number % partitions)
            if rate:
                self.publisher.flush()
        self.publisher.flush()
