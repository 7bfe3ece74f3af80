"""To which night each file belongs, so that no header is read twice: an object for each night in the store.

An entry is a fact about one version of a file and stays true. So it does not matter who writes it, how often, or
whether the tick that found it was kept; an entry for another version than the one that lies there is not looked at.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

from runstart.errors import Alert, Transient
from runstart.nights.calendar import is_night
from runstart.nights.site import Site
from runstart.places import Arrival
from runstart.storage import ObjectMissing, ObjectStore, PreconditionFailed

FORMAT = 1

_AT_ONCE = 16
_TRIES = 20

Versions = Mapping[str, str]


def remember(store: ObjectStore, site: Site, night: str, arrivals: Iterable[Arrival]) -> None:
    """Write down that files belong to a night.

    Raises
    ------
    Transient
        If others write at the same time again and again.
    """
    new = {arrival.name: arrival.version for arrival in arrivals}
    key = _key(site, night)
    for _ in range(_TRIES):
        try:
            stored = store.get(key)
        except ObjectMissing:
            known, etag = {}, ""
        else:
            known, etag = _parse(stored.data, key), stored.etag
        if all(known.get(name) == version for name, version in new.items()):
            return
        data = json.dumps({"format": FORMAT, "files": {**known, **new}}, sort_keys=True, indent=0).encode()
        try:
            if etag:
                store.put_if_match(key, data, etag)
            else:
                store.put_if_absent(key, data)
        except PreconditionFailed:
            continue
        return
    raise Transient(f"The catalogue {key!r} is written by too many at once.")


def load_nights(store: ObjectStore, site: Site) -> dict[tuple[str, str], str]:
    """Return the night of each known file, by name and version."""
    prefix = f"{site.folder('arrivals')}/"
    found = (key.removeprefix(prefix).removesuffix(".json") for key in store.list(prefix) if key.endswith(".json"))
    nights = [night for night in found if is_night(night)]
    with ThreadPoolExecutor(_AT_ONCE, "catalog") as pool:
        catalogs = pool.map(lambda night: _load(store, _key(site, night)), nights)
        return {
            (name, version): night
            for night, files in zip(nights, catalogs, strict=True)
            for name, version in files.items()
        }


def _load(store: ObjectStore, key: str) -> Versions:
    try:
        return _parse(store.get(key).data, key)
    except ObjectMissing:
        return {}


def _parse(data: bytes, key: str) -> dict[str, str]:
    try:
        fields = json.loads(data)
        if fields["format"] != FORMAT:
            raise ValueError("another format")
        return {str(name): str(version) for name, version in fields["files"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        remedy = "Remove this object: it is made anew from the files' headers."
        raise Alert(f"The catalogue {key!r} cannot be read: {error}.", remedy) from error


def _key(site: Site, night: str) -> str:
    return f"{site.folder('arrivals')}/{night}.json"
