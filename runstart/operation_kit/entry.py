"""What is kept of a computed request: one small object that is written last and names all the others.

Everything lies under `operations/KEY/` in the object store. Outputs are in a folder of the attempt that made them
(`1-...`, `2-...`), so that an attempt that was given up for dead cannot change what a later one has published.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from runstart.errors import Alert
from runstart.operation_kit.keys import check_is_key
from runstart.storage import ObjectMissing, ObjectStore

FORMAT = 1
FOLDER = "operations"


@dataclass(frozen=True)
class OutputFile:
    """One output of an operation.

    Attributes
    ----------
    basename : str
        `KEY-INDEX`, or `KEY` if there is only one; with source `store` it is a FITS reference to the output.
    type : str
        `fits` or `image`.
    label : str
        What people call it: the input it was made from, or what it shows.
    objects : mapping of str to str
        Keys in the object store: `fits`, `large` and `small` (JPEG), `tif`.
    sha256 : mapping of str to str
        Digests of their contents.
    figures : mapping of str to number or str
        What the operation tells of it.
    thumbnail : str
        Markdown that shows it in place.
    """

    basename: str
    type: str
    label: str
    objects: Mapping[str, str]
    sha256: Mapping[str, str]
    figures: Mapping[str, Any] = field(default_factory=dict)
    thumbnail: str = ""
    source: str = "store"


@dataclass(frozen=True)
class Entry:
    """A computed request.

    Attributes
    ----------
    key : str
        Its cache key.
    made_of : mapping
        What the key was made of.
    asked : mapping
        The inputs as the first to ask gave them, with the files' names.
    outputs : tuple of OutputFile
        In order.
    seconds : float
        Wall-clock time of the computation.
    made_at : str
        When it was computed, ISO 8601, UTC.
    """

    key: str
    made_of: Mapping[str, Any]
    asked: Mapping[str, Any]
    outputs: tuple[OutputFile, ...]
    seconds: float
    made_at: str

    def to_json(self) -> bytes:
        """Return the entry as JSON."""
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=1, allow_nan=False).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Entry:
        """Return the entry that `to_json` wrote.

        Raises
        ------
        ValueError
            If it is damaged or of another version of Runstart.
        """
        try:
            fields = json.loads(data)
            if fields.pop("format") != FORMAT:
                raise ValueError("it is of another version")
            outputs = tuple(OutputFile(**output) for output in fields.pop("outputs"))
            entry = cls(outputs=outputs, **fields)
            datetime.fromisoformat(entry.made_at)
            if not all(isinstance(name, str) for output in outputs for name in output.objects.values()):
                raise ValueError("an object has no name")
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{type(error).__name__}: {error}") from error
        return entry


def entry_folder(key: str) -> str:
    """Return the folder of a key in the object store."""
    return f"{FOLDER}/{check_is_key(key)}"


def load_entry(store: ObjectStore, key: str) -> Entry | None:
    """Return a key's entry; None if there is none, or if one of its outputs has been deleted since.

    Raises
    ------
    Alert
        If the entry is damaged.
    """
    place = f"{entry_folder(key)}/entry.json"
    try:
        entry = Entry.from_json(store.get(place).data)
        if entry.key != key:
            raise ValueError("it is another key's")
    except ObjectMissing:
        return None
    except ValueError as error:
        remedy = f"Remove it with `runstart operations forget {key}`; it will be computed anew."
        raise Alert(f"The cache entry {place} cannot be read: {error}.", remedy) from error
    present = set(store.list(f"{entry_folder(key)}/"))
    whole = all(name in present for output in entry.outputs for name in output.objects.values())
    return entry if whole else None


def find_output(store: ObjectStore, basename: str) -> str:
    """Return the object of the FITS output that a basename names.

    Raises
    ------
    Alert
        If there is no such output, or it is no FITS image.
    """
    key = basename.partition("-")[0]
    entry = load_entry(store, check_is_key(key))
    for output in entry.outputs if entry is not None else ():
        if output.basename == basename and "fits" in output.objects:
            return output.objects["fits"]
    raise Alert(f"No data operation has made the FITS image {basename!r}.", "Compute it first.")
