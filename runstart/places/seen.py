"""Which files of a place were handed out already: a small cursor that names two objects of the store.

A cursor must be kept together with what it stands for, and Dagster keeps one with every tick: it has to be short. So the
names and versions lie in the object store, in objects that never change and are named by their content: a large one,
written every few thousand files, and a small one with what came since. The cursor names both. What is known is thus a
function of the cursor alone: if a tick fails before its cursor is kept, the old cursor still names the old objects,
and the files of the tick are new again. An object is removed only when a kept cursor says that it has been replaced.

Nothing is forgotten when files vanish, since a disk may be away for an hour: 365 nights of 1000 files take about 4 MB.
"""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

from runstart.errors import Alert
from runstart.storage import ObjectMissing, ObjectStore

FORMAT = 1
SMALL = 4096  # files in the small object

_DIGEST = re.compile(r"[0-9a-f]{64}")
_FORGET = "Clear the sensor's cursor: every file then counts as new; what is done already stays as it is."

# The large object of each folder as it was read last; an object never changes.
_read_last: dict[str, tuple[str, Mapping[str, str]]] = {}


@dataclass(frozen=True)
class Cursor:
    """Which files were handed out.

    Attributes
    ----------
    large, small : str
        SHA-256 of the two objects; empty if there is none.
    replaced : tuple of str
        Objects that nobody needs once this cursor is kept.
    """

    large: str = ""
    small: str = ""
    replaced: tuple[str, ...] = ()

    def to_text(self) -> str:
        """Return the cursor as JSON."""
        return json.dumps({"format": FORMAT, "seen": [self.large, self.small], "replaced": self.replaced})

    @classmethod
    def from_text(cls, text: str | None) -> Cursor:
        """Return the cursor that `to_text` wrote; an empty one for no text.

        Raises
        ------
        Alert
            If it is damaged or of another version of Runstart.
        """
        if not text:
            return cls()
        try:
            fields = json.loads(text)
            (large, small), replaced = fields["seen"], tuple(fields["replaced"])
            digests = filter(None, (*replaced, large, small))
            if fields["format"] != FORMAT or not all(map(_DIGEST.fullmatch, digests)):
                raise ValueError("another format")
        except (ValueError, KeyError, TypeError) as error:
            raise Alert(f"The cursor of arrivals, {text[:100]!r}, cannot be read.", _FORGET) from error
        return cls(large, small, replaced)


class Seen:
    """What a cursor stands for, and what is added to it.

    Parameters
    ----------
    store : ObjectStore
        Has the objects.
    folder : str
        Where in the store they lie.
    cursor : Cursor
        As it was kept.

    Raises
    ------
    Alert
        If an object that the cursor names is not there.
    """

    def __init__(self, store: ObjectStore, folder: str, cursor: Cursor) -> None:
        self._store = store
        self._folder = folder
        self._cursor = cursor
        self._large = self._load_large()
        self._small = self._load(cursor.small)
        self._is_changed = False

    def version(self, name: str) -> str | None:
        """Return which version of a file was handed out last; None if it is unknown."""
        return self._small.get(name) or self._large.get(name)

    def add(self, name: str, version: str) -> None:
        """Take a file as handed out."""
        self._small[name] = version
        self._is_changed = True

    def save(self) -> Cursor:
        """Write what is new, and remove what the kept cursor has replaced; return the new cursor."""
        for digest in self._cursor.replaced:
            if digest not in (self._cursor.large, self._cursor.small):
                self._store.delete(self._key(digest))
        if not self._is_changed:
            return Cursor(self._cursor.large, self._cursor.small)
        if len(self._small) <= SMALL:
            large, small = self._cursor.large, self._put(self._small)
        else:
            large, small = self._put({**self._large, **self._small}), ""
        named = {self._cursor.large, self._cursor.small} - {large, small, ""}
        return Cursor(large, small, tuple(sorted(named)))

    def _load_large(self) -> Mapping[str, str]:
        digest = self._cursor.large
        last = _read_last.get(self._folder)
        if last is not None and last[0] == digest:
            return last[1]
        files = self._load(digest)
        _read_last[self._folder] = (digest, files)
        return files

    def _load(self, digest: str) -> dict[str, str]:
        if not digest:
            return {}
        try:
            data = self._store.get(self._key(digest)).data
        except ObjectMissing as error:
            what = f"The object {error.key!r}, which the cursor of arrivals names, is not in the object store."
            raise Alert(what, _FORGET) from error
        try:
            files: dict[str, str] = json.loads(zlib.decompress(data))
        except (zlib.error, ValueError) as error:
            raise Alert(f"The object {self._key(digest)!r} is damaged: {error}.", _FORGET) from error
        return files

    def _put(self, files: Mapping[str, str]) -> str:
        data = zlib.compress(json.dumps(files, sort_keys=True, separators=(",", ":")).encode())
        digest = hashlib.sha256(data).hexdigest()
        self._store.put(self._key(digest), data)
        return digest

    def _key(self, digest: str) -> str:
        return f"{self._folder}/seen-{digest}.json.zz"
