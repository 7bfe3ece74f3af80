"""Bytes that are read in part: a local file, or an object of an S3 bucket."""

from __future__ import annotations

import contextlib
import copy
import errno
import io
import os
import stat
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runstart.errors import Alert, Transient
from runstart.storage import ObjectMissing, S3Store

__all__ = ["Blob", "BlobFile", "FileBlob", "ObjectBlob"]

_PASSING = {errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EMFILE, errno.ENFILE}
_MOST_PARTS = 1024  # of one preadv, as Linux has it (IOV_MAX)
_REQUESTS = 16  # at once, for many small pieces of an object
_REPLACED_REMEDY = "Read it from its beginning; do not write over a file that is being read."


class Blob(ABC):
    """A file or object; safe to be read by several threads at once.

    Attributes
    ----------
    name : str
        What messages call it.
    """

    name: str

    @abstractmethod
    def size(self) -> int:
        """Return how many bytes there are now.

        Raises
        ------
        Alert
            If it is gone or may not be read.
        Transient
            If the disk or the store does not answer.
        """

    @abstractmethod
    def read_into(self, offset: int, buffer: memoryview) -> int:
        """Fill a buffer from an offset on; return how many bytes there were, fewer only at the end.

        Raises
        ------
        Alert, Transient
            As `size`; an Alert too if it was replaced since it was opened.
        """

    @abstractmethod
    def close(self) -> None:
        """Let it go."""

    @property
    def path(self) -> Path | None:
        """The local file, for libraries that open files by themselves; None if there is none."""
        return None

    def read(self, offset: int, length: int) -> bytes:
        """Return at most `length` bytes from an offset on; fewer only at the end."""
        buffer = bytearray(min(length, max(self.size() - offset, 0)))
        return bytes(buffer[: self.read_into(offset, memoryview(buffer))])

    def read_into_parts(self, offset: int, parts: Sequence[memoryview]) -> int:
        """Fill buffers, one behind the other, as `read_into` fills one."""
        total = 0
        for part in parts:
            got = self.read_into(offset + total, part)
            total += got
            if got < len(part):
                break
        return total

    def read_pieces(self, offsets: Sequence[int], length: int) -> NDArray[np.uint8]:
        """Return pieces of one length, shape (n, length); zeros where the blob ends."""
        pieces = np.zeros((len(offsets), length), np.uint8)
        view = pieces.reshape(-1).data
        for index, offset in enumerate(offsets):
            self.read_into(offset, view[index * length : (index + 1) * length])
        return pieces


class FileBlob(Blob):
    """A local file.

    Parameters
    ----------
    path : Path
        The file.

    Raises
    ------
    Alert
        If it is not there or may not be read.
    """

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._path = Path(path)
        with self._told():
            # A named pipe would block until someone writes to it.
            self._file = open(path, "rb", buffering=0, opener=_open_without_waiting)  # noqa: SIM115
            self._opened = os.fstat(self._file.fileno())
        if not stat.S_ISREG(self._opened.st_mode):
            self._file.close()
            raise Alert(f"{self.name} is no file.", "Give a file of frames.")

    def __repr__(self) -> str:
        return f"FileBlob({self.name!r})"

    @property
    def path(self) -> Path:  # noqa: D102 - as the base class says
        return self._path

    def size(self) -> int:  # noqa: D102
        with self._told():
            now = self._path.stat()
        if (now.st_dev, now.st_ino) != (self._opened.st_dev, self._opened.st_ino):
            raise Alert(f"{self.name} was replaced while it was read.", _REPLACED_REMEDY)
        return now.st_size

    def read_into(self, offset: int, buffer: memoryview) -> int:  # noqa: D102
        return self.read_into_parts(offset, [buffer])

    def read_into_parts(self, offset: int, parts: Sequence[memoryview]) -> int:  # noqa: D102
        handle, pending, total = self._file.fileno(), list(parts), 0
        while pending:
            with self._told():
                got = os.preadv(handle, pending[:_MOST_PARTS], offset + total)
            if not got and any(map(len, pending[:_MOST_PARTS])):
                break
            total += got
            pending = _rest(pending, got)
        return total

    def close(self) -> None:  # noqa: D102
        self._file.close()

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Turn what the file system says into what the user, or the world, can do about it."""
        try:
            yield
        except FileNotFoundError as error:
            raise Alert(f"There is no file {self.name}.", "Look at the spelling, or fetch the file.") from error
        except OSError as error:
            reason = error.strerror or str(error)
            if error.errno in _PASSING:
                raise Transient(f"{self.name} cannot be read now: {reason}") from error
            raise Alert(f"{self.name} cannot be read: {reason}.", "Give a file that can be read.") from error


class ObjectBlob(Blob):
    """One version of an object of an S3 bucket, read by ranges.

    Parameters
    ----------
    client : botocore.client.S3
    bucket, key, etag : str
        The version that is read; an object that was replaced is an Alert.
    size : int
    name : str
        What messages call it.
    """

    def __init__(self, client: Any, bucket: str, key: str, etag: str, size: int, name: str) -> None:
        self.name = name
        self._bucket = _VersionedObjects(client, bucket)
        self._key, self._etag, self._size = key, etag.strip('"'), size

    def __repr__(self) -> str:
        return f"ObjectBlob({self.name!r})"

    def size(self) -> int:  # noqa: D102 - a version of an object never changes
        return self._size

    def read_into(self, offset: int, buffer: memoryview) -> int:  # noqa: D102
        return self.read_into_parts(offset, [buffer])

    def read_into_parts(self, offset: int, parts: Sequence[memoryview]) -> int:  # noqa: D102
        length = min(sum(map(len, parts)), self._size - offset)
        if length <= 0:
            return 0
        try:
            got = self._bucket.fill(self._key, self._etag, offset, length, parts)
        except ObjectMissing:
            raise Alert(f"There is no object {self.name} any more.", "Put it back, or leave it out.") from None
        except _Replaced:
            raise Alert(f"{self.name} was replaced while it was read.", _REPLACED_REMEDY) from None
        if got < length:
            raise Transient(f"The object store sent {got} of {length} bytes of {self.name}.")
        return got

    def read_pieces(self, offsets: Sequence[int], length: int) -> NDArray[np.uint8]:  # noqa: D102
        with ThreadPoolExecutor(_REQUESTS) as pool:
            found = pool.map(lambda offset: super(ObjectBlob, self).read_pieces([offset], length), offsets)
            return np.concatenate([np.zeros((0, length), np.uint8), *found])

    def close(self) -> None:
        """Do nothing: the client is its owner's."""


class BlobFile(io.RawIOBase):
    """A blob as Python's libraries read files, with the size that it has now.

    Attributes
    ----------
    error : Alert, Transient or None
        The last error of the blob, for callers whose library replaces it by one of its own.
    """

    def __init__(self, blob: Blob) -> None:
        super().__init__()
        self.name = blob.name
        self.error: Alert | Transient | None = None
        self._blob, self._size, self._position = blob, blob.size(), 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the offset of the next byte."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to an offset and return it."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise ValueError(f"negative offset {base + offset}")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer and return how many bytes there were."""
        view = memoryview(buffer).cast("B")[: max(self._size - self._position, 0)]
        try:
            got = self._blob.read_into(self._position, view)
        except (Alert, Transient) as error:
            # Without its traceback, which would keep alive what a library has opened, up to the end of the process.
            self.error = copy.copy(error)
            raise
        self._position += got
        return got


class _Replaced(Exception):
    """The object has another etag."""


class _VersionedObjects(S3Store):
    """Objects of a bucket by version, with the object store's words for what S3 says."""

    def fill(self, key: str, etag: str, offset: int, length: int, parts: Sequence[memoryview]) -> int:
        """Fill buffers with a range of an object; return how many bytes came."""
        span = f"bytes={offset}-{offset + length - 1}"
        with self._told(key):
            answer = self._client.get_object(Bucket=self.bucket, Key=key, Range=span, IfMatch=f'"{etag}"')
            body, total = answer["Body"], 0
            with contextlib.closing(body):
                for part in parts:
                    filled = 0
                    while filled < len(part) and total < length:
                        got = body.readinto(part[filled:])
                        if not got:
                            return total
                        filled, total = filled + got, total + got
        return total

    def _translated(self, error: Any, key: str, where: str) -> Exception:
        code = str(error.response.get("Error", {}).get("Code", ""))
        if code in ("PreconditionFailed", "412", "InvalidRange", "416"):
            return _Replaced(key)
        if code == "NoSuchBucket":
            return Alert(f"There is no bucket {self.bucket!r}.", "Create it, or correct its name.")
        return super()._translated(error, key, where)


def _open_without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def _rest(parts: list[memoryview], done: int) -> list[memoryview]:
    """Return what is still to be filled after so many bytes."""
    for index, part in enumerate(parts):
        if done < len(part):
            return [part[done:], *parts[index + 1 :]]
        done -= len(part)
    return []
