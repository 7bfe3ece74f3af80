"""Which scans have arrived where a microscope's scans arrive: each version of a file is handed out exactly once.

All that lies there is listed at each tick and compared with what was handed out before (see `runstart.places.seen` for
what a cursor is). A file that can be followed while it grows, in a folder, is handed out as soon as its header can be
read; one of another format when it has not changed for a while. A file that cannot be read then is told once, and looked
at again when it changes.

What lies there at the first look is the backlog: all of it becomes known, and only the newest scan is launched. As long
as the folder is not there, nothing has been looked at.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from runstart.errors import Alert, Transient
from runstart.frame_files import FrameSource, sidecar_name
from runstart.microscopes import Microscope
from runstart.places import Arrival, Cursor, FileGone, Listing, Seen
from runstart.scans._places import (
    SUFFIXES,
    ScanPlace,
    can_grow,
    is_scan,
    needs_sidecar,
    open_place,
    scan_key,
    stamp_digest,
)
from runstart.scans.model import ScanRecord
from runstart.scans.record import save_record
from runstart.storage import ObjectStore

_AT_ONCE = 8
# What is known of a file is the state, the digest of its stamp, and the version that was handed out.
_DONE, _GROWING, _BACKLOG, _REFUSED = "done", "growing", "backlog", "refused"


@dataclass(frozen=True)
class FoundScan:
    """A scan to make known, and whether to launch it.

    Attributes
    ----------
    record : ScanRecord
        It is in the object store already.
    growing : bool
        Whether frames are still being added: it is to be followed.
    launch : bool
        Whether to process it now.
    bytes : int
        Size of its file at this look; 0 of a streamed scan.
    """

    record: ScanRecord
    growing: bool
    launch: bool
    bytes: int


@dataclass(frozen=True)
class FoundScans:
    """What is new at a microscope.

    Attributes
    ----------
    scans : tuple of FoundScan
        The scan that was changed last comes last.
    cursor : str
        To be kept together with what is done about them, and given at the next look.
    left_alone : mapping of str to str
        Files that are looked at again, and why.
    refused : mapping of str to str
        Files that are no scans, and why; each is told once.
    """

    scans: tuple[FoundScan, ...]
    cursor: str
    left_alone: Mapping[str, str]
    refused: Mapping[str, str]


class _Known(NamedTuple):
    """What the cursor says of a file."""

    state: str = ""
    stamp: str = ""
    version: str = ""

    @classmethod
    def of(cls, text: str | None) -> _Known:
        return cls(*text.split(" ")) if text else cls()


@dataclass(frozen=True)
class _File:
    """A file of frames with the one that describes it, and what is known of it."""

    arrival: Arrival
    sidecar: Arrival | None
    known: _Known

    @property
    def name(self) -> str:
        return self.arrival.name

    @property
    def stamp(self) -> str:
        return stamp_digest(self.arrival, self.sidecar)

    @property
    def is_new(self) -> bool:
        return self.known.stamp != self.stamp or self.is_backlog

    @property
    def is_backlog(self) -> bool:
        return self.known.state == _BACKLOG and self.known.stamp == self.stamp


@dataclass(frozen=True)
class _Look:
    """What a look at a file has shown: its version, or why it is left alone or refused."""

    file: _File
    version: str = ""
    growing: bool = False
    settled: bool = True
    left_alone: str = ""
    refused: str = ""

    @property
    def is_found(self) -> bool:
        return bool(self.version) and self.version != self.file.known.version


def find_scans(
    microscope: Microscope,
    cursor: str | None,
    store: ObjectStore,
    *,
    now: datetime | None = None,
    s3_client: Any = None,
    most: int = 500,
    patience_s: float = 20.0,
) -> FoundScans:
    """Return the scans that were not handed out before; their records are in the object store by then.

    Parameters
    ----------
    microscope : Microscope
        Where.
    cursor : str or None
        The newest cursor that was kept; None or empty at the first look.
    store : ObjectStore
        Keeps records, and what the cursor names.
    now : datetime, optional
        With a time zone; by default the present.
    s3_client : botocore.client.S3, optional
        For a bucket; by default one made from the standard AWS environment variables.
    most : int, optional
        Scans that are handed out at once.
    patience_s : float, optional
        No more files are opened after so many seconds; the next look goes on.

    Returns
    -------
    FoundScans
        The scans, and the new cursor.

    Raises
    ------
    Alert
        If folder or bucket may not be read, or the cursor is damaged.
    Transient
        If bucket or store do not answer.
    """
    moment = (datetime.now(UTC) if now is None else now).timestamp()
    deadline = time.monotonic() + patience_s
    place = open_place(microscope, s3_client)
    is_first = not cursor
    if is_first and not place.is_there():
        return FoundScans((), "", {}, {})
    seen = Seen(store, f"scan_arrivals/{microscope.name}", Cursor.from_text(cursor))
    listing = place.listing()
    files = [file for file in _files(listing, seen) if file.is_new]
    looks = _look_until(place, microscope, _in_order(files, is_first), moment, most, deadline)
    launched = _launched(looks, is_first)
    found = _save(looks, launched, microscope, store, moment)
    for look in looks:
        _note(seen, look)
    if is_first:
        looked_at = {look.file.name for look in looks}
        for file in files:
            if file.name not in looked_at:
                seen.add(file.name, f"{_BACKLOG} {file.stamp}")
    refused = {**_refuse_names(listing, seen), **{look.file.name: look.refused for look in looks if look.refused}}
    return FoundScans(
        scans=found,
        cursor=seen.save().to_text(),
        left_alone={look.file.name: look.left_alone for look in looks if look.left_alone},
        refused=refused,
    )


def _save(
    looks: Iterable[_Look], launched: set[str], microscope: Microscope, store: ObjectStore, now: float
) -> tuple[FoundScan, ...]:
    """Put the records of what was found into the store; return the scans by the time of their last change."""

    def save(look: _Look) -> FoundScan:
        arrival = look.file.arrival
        record = save_record(store, make_record(microscope, arrival.name, look.version, now))
        return FoundScan(record, look.growing, arrival.name in launched, arrival.size)

    found = [look for look in looks if look.is_found]
    found.sort(key=lambda look: (look.file.arrival.modified, look.file.name))
    with ThreadPoolExecutor(_AT_ONCE, "records") as pool:
        return tuple(pool.map(save, found))


def make_record(microscope: Microscope, name: str, version: str, found_at: float) -> ScanRecord:
    """Return the record of a scan in a file."""
    return ScanRecord(microscope.name, scan_key(name), name, version, float(found_at))


@dataclass(frozen=True)
class Sighting:
    """What a look at one file has shown: the scan, or why there is none.

    Attributes
    ----------
    record : ScanRecord or None
        Not saved yet.
    growing : bool
        Whether frames are still being added.
    bytes : int
        Size of the file.
    left_alone : str
        Why it is to be looked at again.
    refused : str
        Why it is no scan.
    """

    record: ScanRecord | None = None
    growing: bool = False
    bytes: int = 0
    left_alone: str = ""
    refused: str = ""


def look_at(place: ScanPlace, microscope: Microscope, name: str, now: float) -> Sighting:
    """Return what is seen of one file, with the version that `find_scans` would give it.

    Parameters
    ----------
    place : ScanPlace
        Where the microscope's scans arrive.
    microscope : Microscope
        Whose.
    name : str
        Path of the file below the place, from outside.
    now : float
        Seconds since 1970.
    """
    if not is_scan(name):
        return Sighting(refused=f"names of files of frames end with {', '.join(SUFFIXES)}")
    try:
        arrival, sidecar = place.find_with_sidecar(name)
    except FileGone:
        return Sighting(left_alone="it is not there")
    except Transient as error:
        return Sighting(left_alone=str(error))
    except Alert as alert:
        return Sighting(refused=str(alert))
    look = _look(place, microscope, _File(arrival, sidecar, _Known()), now)
    if not look.version:
        return Sighting(left_alone=look.left_alone, refused=look.refused)
    return Sighting(make_record(microscope, name, look.version, now), look.growing, arrival.size)


def is_growing(place: ScanPlace, arrival: Arrival, source: FrameSource, patience_s: float, now: float) -> bool:
    """Return whether frames are still being added to a file: one that was given up is processed as it is."""
    can = place.can_grow and can_grow(arrival.name) and not source.is_closed
    return can and now - arrival.modified <= patience_s


def _files(listing: Listing, seen: Seen) -> Iterator[_File]:
    by_name = {arrival.name: arrival for arrival in listing.arrivals}
    for name, arrival in by_name.items():
        if is_scan(name):
            beside = sidecar_name(name)
            sidecar = by_name.get(beside) if beside else None
            yield _File(arrival, sidecar, _Known.of(seen.version(name)))


def _in_order(files: list[_File], is_first: bool) -> list[_File]:
    """Return the files as they are looked at: of the backlog the newest first, and after what is new."""
    newest_first = sorted(files, key=lambda file: (file.arrival.modified, file.name), reverse=True)
    if is_first:
        return newest_first
    fresh = [file for file in reversed(newest_first) if not file.is_backlog]
    return fresh + [file for file in newest_first if file.is_backlog]


def _launched(looks: Iterable[_Look], is_first: bool) -> set[str]:
    """Return the names of the scans that are processed at once."""
    found = [look.file for look in looks if look.is_found]
    if is_first:
        return {file.name for file in found[:1]}
    return {file.name for file in found if not file.is_backlog}


def _note(seen: Seen, look: _Look) -> None:
    """Remember what a look has shown; a file that still changes is looked at again."""
    file = look.file
    known = file.known
    if look.refused:
        known = _Known(_REFUSED, file.stamp, known.version)
    elif look.version:
        known = _Known(_DONE, file.stamp, look.version) if look.settled else _Known(_GROWING, "-", look.version)
    if known != file.known:
        seen.add(file.name, " ".join(filter(None, known)))


def _refuse_names(listing: Listing, seen: Seen) -> dict[str, str]:
    """Return why files cannot be scans whatever they contain, as far as it has not been told."""
    refused = {
        name: why
        for name, why in listing.refused.items()
        if is_scan(name) and _Known.of(seen.version(name)).state != _REFUSED
    }
    for name in refused:
        seen.add(name, f"{_REFUSED} -")
    return refused


def _look_until(
    place: ScanPlace, microscope: Microscope, files: Iterable[_File], now: float, most: int, deadline: float
) -> list[_Look]:
    """Return what is seen of the first files, until enough are found or the time is over."""
    looks: list[_Look] = []
    remaining, found = iter(files), 0
    with ThreadPoolExecutor(_AT_ONCE, "scans") as pool:
        while found < most and (some := list(itertools.islice(remaining, min(_AT_ONCE, most - found)))):
            looks += pool.map(lambda file: _look(place, microscope, file, now), some)
            found = sum(look.is_found for look in looks)
            if time.monotonic() > deadline:
                break
    return looks


def _look(place: ScanPlace, microscope: Microscope, file: _File, now: float) -> _Look:
    arrival = file.arrival
    # A clock that goes ahead is no evidence.
    quiet_s = abs(now - arrival.modified) if place.can_grow else math.inf
    settled = quiet_s >= microscope.settle_seconds
    if needs_sidecar(file.name) and file.sidecar is None:
        return _Look(file, left_alone=f"there is no {sidecar_name(file.name)} that describes it yet")
    if not settled and not can_grow(file.name):
        return _Look(file, left_alone="it has just changed")
    try:
        source, version = place.open(arrival, file.sidecar)
        with source:
            growing = is_growing(place, arrival, source, microscope.give_up_seconds, now)
    except FileGone:
        return _Look(file, left_alone="it has just been replaced or removed")
    except Transient as error:
        return _Look(file, left_alone=str(error))
    except Alert as alert:
        # The first frame may come long after the file was made.
        is_final = settled if not can_grow(file.name) else quiet_s > microscope.give_up_seconds
        return _explain(place, file, is_final, str(alert))
    return _Look(file, version, growing, settled)


def _explain(place: ScanPlace, file: _File, is_final: bool, reason: str) -> _Look:
    """Return what becomes of a file that cannot be read: it may not be whole, or may have gone since it was listed."""
    if not is_final:
        return _Look(file, left_alone=f"it cannot be read yet: {reason}")
    try:
        version = place.find(file.name).version
    except (FileGone, Alert):
        version = ""
    except Transient as error:
        return _Look(file, left_alone=str(error))
    if version != file.arrival.version:
        return _Look(file, left_alone="it has just been replaced or removed")
    return _Look(file, refused=reason)
