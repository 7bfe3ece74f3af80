"""What has arrived where a site's exposures arrive: each whole file is handed out exactly once, with its night.

Everything that lies there is listed at each tick and compared with what was handed out before, by name and version. A
watermark of modification times would be cheaper and wrong: nights are copied with their old times, folders are moved
into place, and uploads in parts bear the time of their begin. See `runstart.places.seen` for what a cursor is and why
nothing is lost or doubled when a tick fails; a file that is written again is new again.

A file is left alone while it changes and while it is truncated; one that stays so for an hour is handed out all the
same, so that the index of its night tells of it, and once more when it is whole. A file whose header has no time belongs
to the night in which it was written.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from runstart.errors import Alert
from runstart.nights._catalog import load_nights, remember
from runstart.nights._places import ExposurePlace, open_place
from runstart.nights.calendar import night_of
from runstart.nights.site import Site
from runstart.places import Arrival, Cursor, FileGone, Listing, Seen
from runstart.storage import ObjectStore

TRUNCATED_FOR_LONG_S = 3600.0

_REFUSED = "refused"  # the version of a refused file, which is told once
_AT_ONCE = 8
_YEAR_2100 = 4.1e9


@dataclass(frozen=True)
class Found:
    """What is new at a site.

    Attributes
    ----------
    nights : mapping of str to tuple of Arrival
        New files by night, the oldest night first.
    cursor : str
        To be kept together with what is done about them, and given at the next look.
    incomplete : mapping of str to str
        Files that are left alone for now, and why.
    refused : mapping of str to str
        Files that are no exposures of a night, and why; each is told once.
    """

    nights: Mapping[str, tuple[Arrival, ...]]
    cursor: str
    incomplete: Mapping[str, str]
    refused: Mapping[str, str]


@dataclass(frozen=True)
class _Look:
    """What a look at a file has shown: its night, or why it is left alone."""

    arrival: Arrival
    night: str = ""
    left_alone: str = ""


def has_begun(store: ObjectStore, site: Site, s3_client: Any = None) -> bool:
    """Return whether there is anything to reduce, or to miss: until its folder is made, a site is only declared."""
    return open_place(site, s3_client).is_there() or bool(store.list(f"nights/{site.name}/"))


def list_arrivals(site: Site, s3_client: Any = None) -> Listing:
    """Return all FITS files that lie where a site's exposures arrive.

    Parameters
    ----------
    site : Site
        Its folder need not be there yet.
    s3_client : botocore.client.S3, optional
        For a bucket; by default one made from the standard AWS environment variables.

    Returns
    -------
    Listing
        The files, whole or not, and those that cannot be exposures.

    Raises
    ------
    Alert
        If folder or bucket may not be read.
    Transient
        If it does not answer.
    """
    return open_place(site, s3_client).listing()


def find_new(
    site: Site,
    cursor: str | None,
    store: ObjectStore,
    *,
    now: datetime | None = None,
    s3_client: Any = None,
    most: int = 2000,
    patience_s: float = 20.0,
) -> Found:
    """Return the whole files that were not handed out before.

    Parameters
    ----------
    site : Site
        Where.
    cursor : str or None
        The newest cursor that was kept; None or empty to begin with everything that lies there.
    store : ObjectStore
        Keeps what the cursor names, and the nights of files.
    now : datetime, optional
        With a time zone; by default the present.
    s3_client : botocore.client.S3, optional
        As for `list_arrivals`.
    most : int, optional
        Files that are handed out at once.
    patience_s : float, optional
        No more headers are read after so many seconds; the next look goes on.

    Returns
    -------
    Found
        The files by night, and the new cursor.

    Raises
    ------
    Alert
        If folder or bucket may not be read, or the cursor is damaged.
    Transient
        If bucket or store do not answer.
    """
    now = datetime.now(UTC) if now is None else now
    deadline = time.monotonic() + patience_s
    seen = Seen(store, site.folder("arrivals"), Cursor.from_text(cursor))
    place = open_place(site, s3_client)
    listing = place.listing()
    refused = {name: why for name, why in listing.refused.items() if seen.version(name) != _REFUSED}
    new = sorted(
        (arrival for arrival in listing.arrivals if seen.version(arrival.name) != arrival.version),
        key=lambda arrival: arrival.modified,
    )
    looks = _look_until(place, site, new, now, most, deadline)
    handed_out = [look for look in looks if not look.left_alone]
    nights = _by_night(handed_out)
    for night, arrivals in nights.items():
        remember(store, site, night, arrivals)
        why = _explain_night(site, night, now)
        refused |= {arrival.name: why for arrival in arrivals if why}
    for look in handed_out:
        seen.add(look.arrival.name, look.arrival.version)
    for name in listing.refused.keys() & refused.keys():
        seen.add(name, _REFUSED)
    return Found(
        nights={night: arrivals for night, arrivals in nights.items() if not _explain_night(site, night, now)},
        cursor=seen.save().to_text(),
        incomplete={look.arrival.name: look.left_alone for look in looks if look.left_alone},
        refused=refused,
    )


def files_by_night(
    site: Site, store: ObjectStore, *, now: datetime | None = None, s3_client: Any = None
) -> dict[str, tuple[Arrival, ...]]:
    """Return all files of all nights as they lie there now, whether a sensor has seen them or not.

    Only headers of files that nobody has looked at are read.

    Parameters
    ----------
    site : Site
        Where.
    store : ObjectStore
        Keeps the nights of files.
    now, s3_client
        As for `find_new`.

    Returns
    -------
    dict of str to tuple of Arrival
        For each night that has some, its files by name; not those that are left alone for now.

    Raises
    ------
    Alert
        If the folder is not there, or may not be read.
    Transient
        If bucket or store do not answer.
    """
    return _look_over(site, store, datetime.now(UTC) if now is None else now, s3_client)[0]


def _look_over(
    site: Site, store: ObjectStore, now: datetime, s3_client: Any
) -> tuple[dict[str, tuple[Arrival, ...]], Listing]:
    """Return the files of all nights, and all that lies there."""
    place = open_place(site, s3_client)
    if not place.is_there():
        remedy = "Mount or make it, or correct the site's `exposures` in sites.toml."
        raise Alert(f"{site.exposures}, where the exposures of {site.name} arrive, is not there.", remedy)
    listing = place.listing()
    known = load_nights(store, site)
    unknown = [arrival for arrival in listing.arrivals if (arrival.name, arrival.version) not in known]
    looked = [look for look in _look_at(place, site, unknown, now) if not look.left_alone]
    for night, arrivals in _by_night(looked).items():
        remember(store, site, night, arrivals)
    known.update({(look.arrival.name, look.arrival.version): look.night for look in looked})
    files: dict[str, list[Arrival]] = {}
    for arrival in listing.arrivals:
        if (arrival.name, arrival.version) in known:
            files.setdefault(known[arrival.name, arrival.version], []).append(arrival)
    return {night: tuple(files[night]) for night in sorted(files)}, listing


class NightFiles:
    """The files of a site's nights as they lay there at the first call; the place is listed once for all nights.

    What arrives later is not seen: make one for each piece of work, such as a Dagster run of thirty nights.

    Parameters
    ----------
    site, store, s3_client
        As for `files_by_night`; it may be shared by threads.
    """

    def __init__(self, site: Site, store: ObjectStore, s3_client: Any = None) -> None:
        self._site = site
        self._store = store
        self._s3_client = s3_client
        self._lock = threading.Lock()
        self._seen: tuple[Mapping[str, tuple[Arrival, ...]], Listing, frozenset[str]] | None = None

    def __call__(self, night: str) -> tuple[Arrival, ...]:
        """Return the files of a night by name.

        Raises
        ------
        Alert, Transient
            As `files_by_night`.
        """
        return self._look()[0].get(night, ())

    def gone(self, names: Iterable[str]) -> list[str]:
        """Return which files no longer lie there, in whatever night; those that are being written do.

        Raises
        ------
        Alert, Transient
            As `files_by_night`.
        """
        present = self._look()[2]
        return [name for name in names if name not in present]

    def refused(self) -> Mapping[str, str]:
        """Return why files that lie there cannot be exposures of any night, by name.

        Raises
        ------
        Alert, Transient
            As `files_by_night`.
        """
        return self._look()[1].refused

    def _look(self) -> tuple[Mapping[str, tuple[Arrival, ...]], Listing, frozenset[str]]:
        with self._lock:
            if self._seen is None:
                files, listing = _look_over(self._site, self._store, datetime.now(UTC), self._s3_client)
                self._seen = files, listing, frozenset(arrival.name for arrival in listing.arrivals)
            return self._seen


def _look_until(
    place: ExposurePlace, site: Site, arrivals: Iterable[Arrival], now: datetime, most: int, deadline: float
) -> list[_Look]:
    """Return what is seen of the first files, until enough are whole or the time is over."""
    looks: list[_Look] = []
    whole = 0
    for look in _look_at(place, site, arrivals, now):
        looks.append(look)
        whole += not look.left_alone
        if whole >= most or (len(looks) % _AT_ONCE == 0 and time.monotonic() > deadline):
            break
    return looks


def _look_at(place: ExposurePlace, site: Site, arrivals: Iterable[Arrival], now: datetime) -> Iterator[_Look]:
    """Yield what is seen of each file, in order; files are read a few at a time."""
    remaining = iter(arrivals)
    with ThreadPoolExecutor(_AT_ONCE, "arrivals") as pool:
        while some := list(itertools.islice(remaining, _AT_ONCE)):
            yield from pool.map(lambda arrival: _look(place, site, arrival, now), some)


def _look(place: ExposurePlace, site: Site, arrival: Arrival, now: datetime) -> _Look:
    moment = None
    try:
        left_alone = place.unfinished(arrival, now.timestamp())
        if not left_alone or _is_old(arrival, now):
            moment = place.time(arrival, site.keywords.time)
    except FileGone:
        return _Look(arrival, left_alone="it has just been replaced or removed")
    except PermissionError:
        left_alone = "it may not be read; give this user the right to"
    if left_alone and not _is_old(arrival, now):
        return _Look(arrival, left_alone=left_alone)
    written = datetime.fromtimestamp(min(max(arrival.modified, 0.0), _YEAR_2100), UTC)
    return _Look(arrival, night_of(moment or written, site))


def _is_old(arrival: Arrival, now: datetime) -> bool:
    return abs(now.timestamp() - arrival.modified) > TRUNCATED_FOR_LONG_S


def _by_night(looks: Iterable[_Look]) -> dict[str, tuple[Arrival, ...]]:
    nights: dict[str, list[Arrival]] = {}
    for look in looks:
        nights.setdefault(look.night, []).append(look.arrival)
    return {night: tuple(nights[night]) for night in sorted(nights)}


def _explain_night(site: Site, night: str, now: datetime) -> str:
    """Return why a night cannot be reduced; empty if it can."""
    if night < site.first_night.isoformat():
        return f"its night, {night}, is before the site's first night"
    if night > night_of(now, site):
        return f"its night, {night}, has not begun: the clock of the camera, or of this machine, is wrong"
    return ""
