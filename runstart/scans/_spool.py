"""Writes the frames of a streamed scan into a local file while they come on a Kafka topic.

Every partition is read from the scan's announcement on, less a margin: the announcement and the frames may come over
different brokers, whose clocks differ. A message that came before, byte for byte, is a producer's second attempt and is
left out; one that cannot be read is kept in the object store. Nothing that comes stops the reading.
"""

from __future__ import annotations

import contextlib
import hashlib
import queue
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from runstart.errors import Alert, Transient
from runstart.frame_files import (
    BatchedFrameHeader,
    BatchWriter,
    ScanHeader,
    SlotNumbers,
    decode_batch,
    unpack_message,
)
from runstart.frames import Frames
from runstart.instruments import Access
from runstart.kafka import EventLog, RawMessage
from runstart.scans.accounting import Accountant
from runstart.scans.work import ScanWork

MARGIN_MS = 60_000
MOST_KEPT, LARGEST_KEPT = 20, 2**20  # messages that cannot be read, and bytes of each
SILENCE = (
    0.8  # of give_up_seconds: a broker that is away for longer fails the attempt, rather than break off the scan
)

_AT_ONCE = 500  # messages
_READ_SECONDS = 0.1
_QUESTION_SECONDS = 2.0
_MOST_REMARKS = 20


@dataclass(frozen=True)
class StreamLedger:
    """What became of the messages of a topic while a scan was followed.

    Attributes
    ----------
    messages : int
        All that were read.
    taken : int
        With frames of the scan.
    duplicate : int
        That came again, byte for byte.
    foreign : int
        Of other scans.
    malformed : int
        That cannot be read, or whose frames are not as the scan was announced.
    lost : int
        Offsets that the broker had deleted before they were read.
    """

    messages: int = 0
    taken: int = 0
    duplicate: int = 0
    foreign: int = 0
    malformed: int = 0
    lost: int = 0

    def as_dict(self) -> dict[str, int]:
        """Return all counts by name."""
        return asdict(self)


def announced_header(stream: Mapping[str, Any]) -> ScanHeader:
    """Return what was announced of a streamed scan.

    Raises
    ------
    ValueError
        If a shape or the type is not there.
    """
    names = {field.name for field in fields(ScanHeader)}
    given = {name: value for name, value in stream.items() if name in names}
    try:
        shapes = {name: tuple(given[name]) for name in ("scan_shape", "frame_shape")}
        return ScanHeader(**{"dtype": "sparse", **given, **shapes})
    except (KeyError, TypeError) as error:
        raise ValueError(f"a streamed scan was recorded without {error}") from error


class StreamSpool:
    """The file of frames of one streamed scan, written by a thread; a context manager.

    Parameters
    ----------
    work : ScanWork
        The scan; its record has a stream.
    path : Path
        The file, which must not exist.
    bootstrap_servers : str
        Of the Kafka cluster.
    access : Access
        How it is entered.
    """

    def __init__(self, work: ScanWork, path: Path, bootstrap_servers: str, access: Access) -> None:
        if work.record.stream is None:
            raise ValueError(f"{work.record.scan} is no streamed scan")
        self.path = path
        self.has_frames = threading.Event()
        self.ledger = StreamLedger()
        self._work = work
        self._servers, self._access = bootstrap_servers, access
        self._stream = work.record.stream
        self.topic = str(self._stream["topic"])
        self._header = announced_header(self._stream)
        self._accountant = Accountant(self._header)
        self._numbers = SlotNumbers(self._header.frames_per_position)
        self._messages: set[bytes] = set()
        self._batches: set[int] = set()
        self._positions: dict[int, int] = {}
        self._remarks: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._totals: tuple[int | None, int | None] = (None, None)  # frames and batches, as the newest batch says
        self._error: BaseException | None = None
        self._over = threading.Event()
        self._silent_since: float | None = None  # when a question was asked that had no answer, nor any since
        self._next_question = 0.0
        self._writer = BatchWriter(path)
        self._thread = threading.Thread(target=self._run, name="stream", daemon=True)

    def __enter__(self) -> StreamSpool:
        """Begin to read."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Read no more; the file stays as it is."""
        self._over.set()
        self._thread.join()
        self._writer.abandon()

    @property
    def header(self) -> ScanHeader:
        """What was announced."""
        return self._header

    @property
    def seen(self) -> int:
        """Different frames of the scan that are in the file."""
        return self._accountant.account().seen

    def remarks(self) -> list[str]:
        """Return what is to be told since the last time."""
        return [self._remarks.get() for _ in range(self._remarks.qsize())]

    def check(self) -> None:
        """Raise what has stopped the reading.

        Raises
        ------
        Alert
            If the topic or the access to it is gone, or the disk is full.
        Transient
            If the broker has been silent for so long that the scan would soon count as broken off.
        """
        if self._error is not None:
            raise self._error
        since = self._silent_since
        silence = 0.0 if since is None else time.monotonic() - since
        if silence > SILENCE * self._work.microscope.give_up_seconds:
            raise Transient(f"Kafka at {self._servers} has not answered for {silence:.0f} s.")

    def _run(self) -> None:
        try:
            with EventLog(self._servers, self.topic, self._access) as log:
                while not self._over.is_set() and not self._is_whole():
                    self._look_after(log)
                    if self._positions:
                        self._read(log)
                    else:
                        self._over.wait(_READ_SECONDS)
            if self._is_whole():
                self._writer.close()
        except OSError as error:
            what = f"Frames of {self._work.record.scan} cannot be written to {self.path.parent}: {error.strerror}."
            self._error = Alert(what, "Make room there, or set TMPDIR to another disk, and launch the scan again.")
        except BaseException as error:  # noqa: BLE001 - raised by `check`, in the thread that follows
            self._error = error

    def _look_after(self, log: EventLog) -> None:
        """Ask the broker now and then whether it is there, and for partitions that are not read yet."""
        now = time.monotonic()
        if now < self._next_question:
            return
        self._next_question = now + min(_QUESTION_SECONDS, self._work.microscope.give_up_seconds / 10)
        try:
            new = [partition for partition in log.partitions() if partition not in self._positions]
            begins = {partition: self._begin_of(log, partition) for partition in new}
        except Transient:
            self._silent_since = self._silent_since or now
            return
        self._silent_since = None
        if begins:
            (log.add if self._positions else log.seek)(begins)
            self._positions |= begins

    def _begin_of(self, log: EventLog, partition: int) -> int:
        low, high = log.watermarks(partition)
        at = log.offset_at(partition, int(self._stream["announced_ms"]) - MARGIN_MS)
        return high if at is None else max(at, low)

    def _read(self, log: EventLog) -> None:
        batch = log.read(_AT_ONCE, _READ_SECONDS)
        for message in batch.messages:
            self._silent_since = None
            self._take(message)
        for partition, first, end in batch.lost:
            self._count(lost=end - first)
            self._remark(
                f"Kafka has deleted offsets {first} to {end} of partition {partition} before they were read."
            )
        if batch.messages and self.ledger.taken:
            self._writer.flush()
            self.has_frames.set()

    def _take(self, message: RawMessage) -> None:
        self._count(messages=1)
        place = f"{self.topic}[{message.partition}]@{message.offset}"
        try:
            header, frames = decode_batch(*unpack_message(message.payload, place), place)
        except Alert as error:
            self._refuse(message, str(error))
            return
        if header.scan_number != self._stream["number"]:
            self._count(foreign=1)
            return
        if (why := self._why_not(header)) is not None:
            self._refuse(message, f"{place} {why}.")
            return
        digest = hashlib.sha256(message.payload).digest()
        if digest in self._messages:
            self._count(duplicate=1)
            return
        self._messages.add(digest)
        self._write(header, frames)
        self._count(taken=1)

    def _write(self, header: BatchedFrameHeader, frames: Frames) -> None:
        # The file says how many frames the scan has, whatever its messages do.
        told = header.model_copy(update={"total_frames": self._header.expected})
        self._writer.write(told, frames)
        self._accountant.take(self._numbers.take(told))
        if header.current_batch_index is not None:
            self._batches.add(header.current_batch_index)
        self._totals = (header.total_frames, header.total_batches)

    def _is_whole(self) -> bool:
        """Return whether all frames have come that the announcement, or the newest batch, says that there are."""
        account = self._accountant.account()
        if not account.seen:
            return False
        frames, batches = self._totals
        has_all_batches = bool(batches) and len(self._batches) == batches
        return not account.missing or (bool(frames) and account.seen >= (frames or 0)) or has_all_batches

    def _why_not(self, header: BatchedFrameHeader) -> str | None:
        one, announced = header.headers[0], self._header
        dtype = "sparse" if one.dtype == "uint32" else one.dtype
        for name, has, wants in (
            ("scan", one.scan_shape, announced.scan_shape),
            ("frame", one.frame_shape, announced.frame_shape),
            ("type", dtype, announced.dtype),
        ):
            if has != wants:
                return f"has the {name} {has}, but {wants} was announced"
        return None

    def _refuse(self, message: RawMessage, why: str) -> None:
        self._count(malformed=1)
        if self.ledger.malformed <= MOST_KEPT:
            self._remark(f"{why} It is left out.")
            folder = self._work.microscope.folder(self._work.record.scan)
            key = f"{folder}/malformed/{message.partition}-{message.offset}"
            with contextlib.suppress(Transient):  # the topic has it still
                self._work.store.put(key, message.payload[:LARGEST_KEPT])

    def _remark(self, text: str) -> None:
        if self._remarks.qsize() < _MOST_REMARKS:
            self._remarks.put(text)

    def _count(self, **more: int) -> None:
        before = self.ledger.as_dict()
        self.ledger = replace(self.ledger, **{name: before[name] + number for name, number in more.items()})
