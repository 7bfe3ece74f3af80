"""Any file as messages: frames as batches, arrays, tables, pictures; and the bytes of everything else.

What a file is, is told by its name, or by its first bytes if the name has no ending that is known.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from runstart.errors import Alert
from runstart.frame_files import sidecar_name
from runstart.frame_messages.arrays import array_message
from runstart.frame_messages.media import media_type_of
from runstart.frame_messages.reading import read_messages
from runstart.frame_messages.tables import csv_records, table_message
from runstart.operators import BytesMessage, MessageHeader

_FRAMES = frozenset(
    (".frames", ".batches", ".h5", ".hdf5", ".nxs", ".emd", ".tif", ".tiff", ".mib", ".raw", ".bin")
)
_HDF5, _BATCHES, _NUMPY = b"\x89HDF\r\n\x1a\n", b"RSBATCH1", b"\x93NUMPY"
_BEGIN = 16


class FileReader:
    """Reads files one after the other, message by message.

    Parameters
    ----------
    files : sequence of (Path, str)
        Each with the name by which it is known.
    batch_bytes : int
        The size that the frames of a batch stay below.
    """

    def __init__(self, files: Sequence[tuple[Path, str]], batch_bytes: int) -> None:
        self._files = list(enumerate(files, 1))
        self._batch_bytes = batch_bytes
        self._open: Iterator[BytesMessage] = iter(())

    def next(self) -> BytesMessage | None:
        """Return the next message; None at the end.

        Raises
        ------
        Alert
            If a file cannot be read; the next call goes on with the next one.
        """
        while (message := next(self._open, None)) is None and self._files:
            number, (path, name) = self._files.pop(0)
            self._open = read_file(path, name, self._batch_bytes, number)
        return message


def find_files(folder: Path, names: str, mounted: str, mount: str) -> list[tuple[Path, str]]:
    """Return the files that parameters name, each with its name.

    Parameters
    ----------
    folder : Path
        Where mounts are.
    names : str
        Mounts, one a line; empty for all that the other mount holds.
    mounted : str
        The mount of a file or a folder, by its place before it was mounted; empty if there is none.
    mount : str
        The name of that mount.

    Raises
    ------
    Alert
        If there is none.
    """
    if names.strip():
        listed = [name.strip() for name in names.splitlines() if name.strip()]
        files = [(folder / name, name) for name in listed]
    elif not mounted:
        raise Alert("No file is named.", f"Set files, or {mount}.")
    elif (place := folder / mount).is_dir():
        found = sorted(path for path in place.iterdir() if path.is_file() and not path.name.startswith("."))
        files = [(path, path.name) for path in found]
    else:
        files = [(place, PurePath(mounted).name)]
    beside = {sidecar_name(str(path)) for path, _ in files}
    kept = [(path, name) for path, name in files if str(path) not in beside]
    if not kept:
        raise Alert(f"{mounted or names} holds no file.", "Name another file or folder.")
    return kept


def find_file(place: Path, filename: str) -> Path:
    """Return the file that a mount and a name in it say.

    Parameters
    ----------
    place : Path
        The mount: a folder, or the file itself.
    filename : str
        Below the folder; may be empty if the mount is a file, or the folder holds only one.

    Raises
    ------
    Alert
        If it is not clear which, or outside the folder.
    """
    if not filename:
        files = [path for path in place.iterdir() if path.is_file()] if place.is_dir() else [place]
        if len(files) != 1:
            raise Alert(f"No filename is set, and the folder holds {len(files)} files.", "Set filename.")
        return files[0]
    path = place / filename
    # A name must not lead out of what was mounted.
    if not path.resolve().is_relative_to(place.resolve()) or not path.is_file():
        raise Alert(f"There is no file {filename!r} in the folder.", "Correct filename.")
    return path


def read_file(path: Path, name: str, batch_bytes: int, number: int) -> Iterator[BytesMessage]:
    """Yield the messages of a file.

    Parameters
    ----------
    path : Path
        The file.
    name : str
        By which it is known, and its kind told.
    batch_bytes : int
        The size that the frames of a batch stay below.
    number : int
        The scan number of frames.

    Raises
    ------
    Alert
        If it cannot be read.
    """
    try:
        with path.open("rb") as file:
            begin = file.read(_BEGIN)
        if begin.startswith(_NUMPY):
            yield from _read_numpy(path, name, batch_bytes, number)
        elif begin.startswith((_HDF5, _BATCHES)) or PurePath(name).suffix.lower() in _FRAMES:
            yield from read_messages(path, batch_bytes, number)
        else:
            yield _read_whole(path.read_bytes(), name)
    except OSError as error:
        raise Alert(f"{name} cannot be read: {error.strerror or error}.", "Name a file that is there.") from error


def _read_numpy(path: Path, name: str, batch_bytes: int, number: int) -> Iterator[BytesMessage]:
    """Yield an array; one of four dimensions is a scan, in batches."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError as error:
        raise Alert(f"{name} holds no array of numbers: {error}.", "Save it with numpy.save.") from error
    if array.ndim == 4:
        yield from read_messages(path, batch_bytes, number)
        return
    if array.dtype.kind not in "biuf":
        raise Alert(f"{name} holds an array of {array.dtype}, which is no number.", "Save numbers.")
    yield array_message(np.asarray(array), {"name": name})


def _read_whole(data: bytes, name: str) -> BytesMessage:
    meta: dict[str, Any] = {"name": name}
    suffix = PurePath(name).suffix.lower()
    try:
        if suffix == ".csv":
            return table_message({PurePath(name).stem: csv_records(data.decode("utf-8-sig"))}, meta)
        if suffix == ".json":
            return _read_json(data, name)
    except ValueError as error:
        raise Alert(f"{name} cannot be read as {suffix[1:].upper()}: {error}.", "Correct the file.") from error
    return BytesMessage(MessageHeader(meta=meta | {"media_type": media_type_of(data)}), data)


def _read_json(data: bytes, name: str) -> BytesMessage:
    """Return a list of objects as a table, and any other JSON as it is."""
    value = json.loads(data)
    meta = {"name": name, "media_type": "application/json"}
    if isinstance(value, list) and value and all(isinstance(record, dict) for record in value):
        return table_message({PurePath(name).stem: value}, meta)
    return BytesMessage(MessageHeader(meta=meta), data)
