"""Opens HDF5 files and translates what the library says; the only place that imports h5py."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import h5py
import hdf5plugin  # noqa: F401 - registers the compressions that detectors use

from runstart.errors import Alert, Transient
from runstart.frame_files._limits import refused
from runstart.frame_files.blob import Blob, BlobFile

_CACHE = 2**26  # bytes of chunks for each dataset
_BUFFER = 2**20


class Hdf5File:
    """An open file, whose errors are told as Alerts.

    Parameters
    ----------
    blob : Blob
        The file, which this owns from now on.
    """

    def __init__(self, blob: Blob) -> None:
        self.name = blob.name
        self.blob = blob
        self._stream: BlobFile | None = None
        with self.told():
            self.root: Any = self._open()

    def _open(self) -> Any:
        if self.blob.path is not None:
            return h5py.File(self.blob.path, "r", rdcc_nbytes=_CACHE)
        self._stream = BlobFile(self.blob)
        return h5py.File(io.BufferedReader(self._stream, _BUFFER), "r", rdcc_nbytes=_CACHE)

    def close(self) -> None:
        """Let the file go."""
        self.root.close()
        self.blob.close()

    @contextlib.contextmanager
    def told(self) -> Iterator[None]:
        """Turn what HDF5 says into what the user can do about it."""
        try:
            yield
        except (OSError, RuntimeError, KeyError, ValueError, TypeError, IndexError, MemoryError) as error:
            if self._stream is not None and self._stream.error is not None:
                raise self._stream.error from error
            if isinstance(error, BlockingIOError) or "unable to lock file" in str(error):
                raise Transient(f"{self.name} is being written by another program.") from error
            reason = str(error).strip("\"'") or type(error).__name__
            what = f"HDF5 file {self.name} is truncated or damaged: {reason[:300]}."
            raise Alert(what, "Copy it again, or wait until it is written.") from error

    def dataset(self, path: str) -> Any:
        """Return a dataset, if all of it lies in this file, or in files of bare names in its folder.

        Raises
        ------
        Alert
            If there is none, or its data lie elsewhere.
        """
        found = self.root.get(path)
        if not isinstance(found, h5py.Dataset):
            raise refused(self.name, f"has no dataset {path}", "Name one that it has.")
        self.check_place(found)
        return found

    def check_place(self, dataset: Any) -> None:
        """Raise an Alert if the data of a dataset lie where the file has no say."""
        home, folder = self.root.filename, self.blob.path.parent if self.blob.path is not None else None
        place = dataset.file.filename
        if place != home and (folder is None or Path(place).absolute().parent != folder.absolute()):
            self._refuse(dataset, place)
        outside = {name for name, *_ in dataset.external or ()}
        if outside:
            self._refuse(dataset, outside.pop())
        sources = dataset.virtual_sources() if dataset.is_virtual else ()
        for name, path in {(source.file_name, source.dset_name) for source in sources if source.file_name != "."}:
            if folder is None or name != Path(name).name or not (folder / name).is_file():
                self._refuse(dataset, name)
            with h5py.File(folder / name, "r") as other:
                found = other.get(path)
                if not isinstance(found, h5py.Dataset) or found.is_virtual or found.external:
                    self._refuse(dataset, name)

    def _refuse(self, dataset: Any, place: str | bytes) -> NoReturn:
        text = place.decode(errors="replace") if isinstance(place, bytes) else place
        what = f"keeps the pixels of {dataset.name} in another file, {text[:200]!r}"
        raise refused(self.name, what, "Put both into one folder, or give a file that holds all (h5repack).")


def is_dataset(item: Any) -> bool:
    """Tell whether an item of a file is a dataset."""
    return isinstance(item, h5py.Dataset)


def is_group(item: Any) -> bool:
    """Tell whether an item of a file is a group."""
    return isinstance(item, h5py.Group)


def text_of(value: Any) -> str:
    """Return an attribute as text, whatever wrote it; empty if it is none."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list):
        value = value[0] if value else ""
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value) if value is not None else ""
