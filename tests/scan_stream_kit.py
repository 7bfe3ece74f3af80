"""Scans that are streamed over a broker: a microscope, what the detector sends, and one who listens to the reports."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scripted_stream import now_ms

from runstart.frame_files import FrameSource, open_frames
from runstart.frames import Detector, Recipe
from runstart.microscopes import Announcements, Microscope
from runstart.scans import ScanProduct, ScanRecord, ScanResult, ScanStatus, ScanWork, follow_scan, follow_stream
from runstart.simulators.publishing import Publisher, connect_publisher
from runstart.simulators.scan import simulate_scan
from runstart.simulators.scan_plan import FrameFormat, ScanPlan
from runstart.simulators.scan_stream import ScanStream
from runstart.storage import FileStore

NAME = "SIMSTEM"
RECIPE = Recipe(detectors=(Detector(name="bright_field", outer=6), Detector(name="dark_field", inner=6, outer=15)))


@dataclass
class Listener:
    """Keeps what it is told, and does something on order when it is."""

    on_status: Callable[[ScanStatus], None] = lambda status: None
    remarks: list[str] = field(default_factory=list)
    statuses: list[ScanStatus] = field(default_factory=list)

    def remark(self, text: str) -> None:
        self.remarks.append(text)

    def status(self, status: ScanStatus, product: Callable[[], ScanProduct] | None) -> None:
        self.statuses.append(status)
        self.on_status(status)


def small_plan(**changes: Any) -> ScanPlan:
    """Return the plan of a scan of electron events, 240 frames of 32 x 32 pixels."""
    fields: dict[str, Any] = {
        "scan_shape": (12, 20),
        "frame_shape": (32, 32),
        "format": FrameFormat.BATCHES,
        "dead_pixels": 2,
    }
    return ScanPlan(**fields | changes)


@dataclass
class Streaming:
    """A simulated scan, a microscope that streams it, and its topics."""

    folder: Path
    servers: str
    announcements: Announcements
    publisher: Publisher
    source: FrameSource
    give_up_seconds: float = 5.0
    number: int = 7

    @property
    def microscope(self) -> Microscope:
        return Microscope(
            name=NAME,
            scans=f"file:{self.folder}/scans",
            recipe=RECIPE,
            announcements=self.announcements,
            display_interval=0.2,
            settle_seconds=0.2,
            give_up_seconds=self.give_up_seconds,
        )

    @property
    def stream(self) -> ScanStream:
        return ScanStream(self.publisher, self.announcements, NAME, "streamed", self.number, self.source)

    def record(self, announced_ms: int | None = None) -> ScanRecord:
        header = self.source.header
        said: dict[str, Any] = {
            "number": self.number,
            "scan_shape": list(header.scan_shape),
            "frame_shape": list(header.frame_shape),
            "frames_per_position": header.frames_per_position,
            "dtype": "sparse",
            "topic": self.announcements.frames_topic,
            "kafka": "default",
            "announced_ms": now_ms() if announced_ms is None else announced_ms,
        }
        return ScanRecord(NAME, "streamed", "", "v1", 0.0, said)

    def work(self, store: str = "store") -> ScanWork:
        return ScanWork(self.microscope, self.record(), FileStore(self.folder / store))

    def follow(self, listener: Listener | None = None, work: ScanWork | None = None, **options: Any) -> ScanResult:
        return follow_stream(work or self.work(), self.servers, listener or Listener(), **options)

    def undisturbed(self) -> ScanResult:
        """Return what the file gives without any broker."""
        work = ScanWork(self.microscope, self.record(), FileStore(self.folder / "undisturbed"), local=self.path)
        return follow_scan(work, Listener())

    def send_anew(self, start: int) -> None:
        """Send frames by a new connection, to the last partition."""
        topic = str(self.announcements.frames_topic)
        with connect_publisher(self.servers, {topic: None}) as publisher:
            for message in self.stream.messages(start):
                publisher.send(topic, message, publisher.partitions[topic] - 1)
            publisher.flush()

    @property
    def path(self) -> Path:
        (path,) = (self.folder / "truth").glob("*.batches")
        return path


@contextmanager
def streaming(
    folder: Path, servers: str, topic: Callable[[str], str], *, partitions: int = 1, **plan: Any
) -> Iterator[Streaming]:
    """Give a simulated scan whose frames are ready to be sent."""
    simulate_scan(folder / "truth", small_plan(**plan))
    announcements = Announcements(topic=topic("scans"), frames_topic=topic("frames"))
    topics = {announcements.topic: 1, str(announcements.frames_topic): partitions}
    (path,) = (folder / "truth").glob("*.batches")
    with connect_publisher(servers, topics) as publisher, open_frames(path) as source:
        yield Streaming(folder, servers, announcements, publisher, source)


def in_thread(work: Callable[[], object]) -> threading.Thread:
    """Do work beside the test."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread
