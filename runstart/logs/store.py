"""Keeps a run's logs in the object store, so that samples which nobody can read again survive the process.

Each save writes the samples that are new as one segment, `FOLDER/logs/EPOCH-NUMBER.npz`; loading reads the segments
of all epochs, and since the book stores a sample once, reading one twice changes nothing. After
`SEGMENTS_MERGED` segments one is written that holds everything, and those that it replaces are deleted.
A segment that is damaged is passed over with a remark and never deleted. Names are in the segments, not in keys.
"""

from __future__ import annotations

import io
import json
import re
import threading
import zipfile
import zlib
from typing import Any

import numpy as np

from runstart.errors import Transient
from runstart.logs.book import LogBook
from runstart.logs.model import LogSeries
from runstart.storage import ObjectMissing, ObjectStore

__all__ = ["LogStore", "pack_segment", "unpack_segment"]

SEGMENTS_MERGED = 64
"""Segments that are replaced by one: at an interval of 30 s, every half an hour."""

_FORMAT = 1
_ROUNDS = 3  # of listing, while another process merges segments
_NAME = re.compile(r"\d{1,9}-\d{1,9}\.npz")


class LogStore:
    """The stored logs of one run, as one launch of it writes them; safe among threads.

    Parameters
    ----------
    store : ObjectStore
        Where.
    folder : str
        The run's folder in it.
    epoch : int
        Epoch of the run's lease; no two launches have the same.
    """

    def __init__(self, store: ObjectStore, folder: str, epoch: int) -> None:
        self._store = store
        self._prefix = f"{folder}/logs/"
        self._epoch = epoch
        self._number = 0
        self._held: list[str] = []
        self._lock = threading.Lock()

    def save(self, book: LogBook) -> int:
        """Write the samples that are not stored yet, and return how many there were.

        Parameters
        ----------
        book : LogBook
            The logs; what could not be written is written by the next save.

        Raises
        ------
        Transient
            If the store does not answer.
        """
        with self._lock:
            merging = len(self._held) >= SEGMENTS_MERGED
            new = book.take_unstored(everything=merging)
            if not new:
                return 0
            key = f"{self._prefix}{self._epoch:06d}-{self._number:06d}.npz"
            try:
                self._store.put(key, pack_segment(book.run_key, new))
            except BaseException:
                book.put_back(new)
                raise
            self._number += 1
            if merging:
                self._delete_held()
            self._held.append(key)
            return sum(len(series) for series in new)

    def load(self, book: LogBook) -> list[str]:
        """Add all stored samples to a book, and return remarks on what could not be read.

        Parameters
        ----------
        book : LogBook
            The logs of the same run; may hold samples already, and may be filled twice.

        Raises
        ------
        Transient
            If the store does not answer.
        """
        with self._lock:
            remarks: dict[str, str] = {}
            seen: set[str] = set()
            for _ in range(_ROUNDS):
                keys = [key for key in self._store.list(self._prefix) if key not in seen]
                gone = False
                for key in keys:
                    gone |= not self._load_segment(key, book, remarks)
                seen |= set(keys)
                if not gone:
                    break
            return list(remarks.values())

    def _load_segment(self, key: str, book: LogBook, remarks: dict[str, str]) -> bool:
        """Add a segment to the book; return False if it has been deleted meanwhile."""
        name = key.rsplit("/", 1)[1]
        if not _NAME.fullmatch(name):
            return True
        epoch, number = (int(part) for part in name.removesuffix(".npz").split("-"))
        if epoch == self._epoch:
            self._number = max(self._number, number + 1)
        try:
            data = self._store.get(key).data
        except ObjectMissing:
            return False
        try:
            run_key, series = unpack_segment(data)
        except ValueError as error:
            remarks[key] = f"Stored logs {name} were passed over: {error}"
            return True
        if run_key != book.run_key:
            remarks[key] = f"Stored logs {name} were passed over: they are of another run."
            return True
        book.restore(series)
        if key not in self._held:
            self._held.append(key)
        return True

    def _delete_held(self) -> None:
        """Delete the segments whose samples have just been written again."""
        left = []
        for key in self._held:
            try:
                self._store.delete(key)
            except Transient:
                left.append(key)  # harmless: its samples are there twice
        self._held = left


def pack_segment(run_key: str, series: list[LogSeries]) -> bytes:
    """Return series as a segment: an npz archive without pickles.

    Parameters
    ----------
    run_key : str
        The run that they belong to.
    series : list of LogSeries
        Any logs of it.
    """
    about = {
        "format": _FORMAT,
        "run_key": run_key,
        "logs": [
            {
                "name": one.name,
                "unit": one.unit,
                "source": one.source,
                "samples": len(one),
                "texts": list(one.values) if isinstance(one.values, tuple) else None,
                "status": list(one.status),
                "thinned": one.thinned,
            }
            for one in series
        ],
    }
    numbers = [one.values for one in series if not isinstance(one.values, tuple)]
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        about=np.frombuffer(json.dumps(about).encode(), np.uint8),
        time_ns=np.concatenate([np.zeros(0, np.int64), *(one.time_ns for one in series)]),
        severity=np.concatenate([np.zeros(0, np.int8), *(one.severity for one in series)]),
        numbers=np.concatenate([np.zeros(0, np.float64), *numbers]),
    )
    return buffer.getvalue()


def unpack_segment(data: bytes) -> tuple[str, list[LogSeries]]:
    """Return the run key and the series of a segment.

    Parameters
    ----------
    data : bytes
        What `pack_segment` returned.

    Raises
    ------
    ValueError
        If it is damaged, or of another format.
    """
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in ("time_ns", "severity", "numbers")}
            about = json.loads(archive["about"].tobytes())
        if about["format"] != _FORMAT:
            raise ValueError(f"their format is {about['format']!r}")
        return str(about["run_key"]), _split(about["logs"], arrays)
    # Damage shows as whatever the archive's reader trips over.
    except (
        OSError,
        EOFError,
        LookupError,
        TypeError,
        AttributeError,
        zipfile.BadZipFile,
        NotImplementedError,
    ) as e:
        raise ValueError(f"they are damaged ({type(e).__name__}: {str(e)[:200]})") from e
    except (zlib.error, ArithmeticError, MemoryError, RuntimeError) as e:
        raise ValueError(f"they are damaged ({type(e).__name__})") from e


def _split(logs: list[dict[str, Any]], arrays: dict[str, Any]) -> list[LogSeries]:
    series = []
    first = first_number = 0
    for log in logs:
        end = first + int(log["samples"])
        texts = log["texts"]
        if texts is None:
            end_number = first_number + int(log["samples"])
            values: Any = np.asarray(arrays["numbers"][first_number:end_number], np.float64)
            first_number = end_number
        else:
            values = tuple(str(text) for text in texts)
        one = LogSeries(
            name=str(log["name"]),
            time_ns=np.asarray(arrays["time_ns"][first:end], np.int64),
            values=values,
            severity=np.asarray(arrays["severity"][first:end], np.int8),
            unit=str(log["unit"]),
            source=str(log["source"]),
            status=tuple(str(text) for text in log["status"]),
            thinned=int(log["thinned"]),
        )
        lengths = {int(log["samples"]), len(one), len(values), one.severity.size, len(one.status) or len(one)}
        if len(lengths) != 1 or (len(one) and not 0 <= one.severity.min() <= one.severity.max() <= 4):
            raise ValueError(f"log {one.name[:80]!r} is damaged")
        series.append(one)
        first = end
    return series
