"""Who downloads a file: one of those who want it, while the others wait and then share its outcome.

The downloader holds an exclusive lock on a lock file and removes the file when it is done. A waiter that gets the
lock looks at the name: if it is gone, the download has ended, and if it failed, its error stands in the file that the
waiter still has open; if it is there, the downloader died, and the waiter is the next one.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from runstart.errors import Alert, Transient
from runstart.file_cache.locks import is_current, try_alone

_POLL_S = 0.02
_ID_LENGTH = 64


class ContentChanged(Alert):
    """A file's content is not the one that was announced for its version."""


class Downloads:
    """The downloads in progress below a folder.

    Parameters
    ----------
    root : Path
        A folder that nothing else uses.
    stall_s : float
        Seconds after which a waiter gives up on a download that makes no progress at all.
    """

    def __init__(self, root: Path, stall_s: float) -> None:
        self._locks = root / "locks"
        self._partial = root / "partial"
        self._stall_s = stall_s

    def prepare(self) -> None:
        """Make the folders."""
        self._locks.mkdir(parents=True, exist_ok=True)
        self._partial.mkdir(exist_ok=True)

    def partial(self, id_: str) -> Path:
        """Return where a file is while it is not whole."""
        return self._partial / id_

    @contextlib.contextmanager
    def turn(self, id_: str, name: str) -> Iterator[bool]:
        """Wait until nobody else downloads a file.

        Parameters
        ----------
        id_ : str
            The file's name on the disk.
        name : str
            Its name for people.

        Yields
        ------
        bool
            True if the caller is to download it, False if somebody else has just done so. An `Alert` or `Transient`
            that the context raises goes to all who wait.

        Raises
        ------
        Alert, Transient
            What the downloader that the caller waited for has met; or it makes no progress.
        """
        lock = self._acquired(id_, name)
        if lock is None:
            yield False
            return
        try:
            yield True
        except (Alert, Transient) as error:
            _write_outcome(lock, error)
            raise
        finally:
            self._clear(id_)
            self._lock(id_).unlink(missing_ok=True)
            lock.close()

    def sweep(self) -> None:
        """Remove what killed downloads have left."""
        names = {path.name[:_ID_LENGTH] for folder in (self._locks, self._partial) for path in folder.iterdir()}
        for id_ in names:
            path = self._lock(id_)
            with path.open("a+b") as lock:
                if try_alone(lock) and is_current(lock, path):
                    self._clear(id_)
                    path.unlink()

    def _lock(self, id_: str) -> Path:
        return self._locks / id_

    def _clear(self, id_: str) -> None:
        for path in self._partial.glob(f"{id_}*"):
            path.unlink(missing_ok=True)

    def _acquired(self, id_: str, name: str) -> IO[bytes] | None:
        """Return the lock, held; None if a download ended well meanwhile."""
        path = self._lock(id_)
        while True:
            lock = path.open("a+b")
            try:
                waited = self._wait(lock, id_, name)
                if is_current(lock, path):
                    # One that was killed may have left its outcome.
                    os.ftruncate(lock.fileno(), 0)
                    return lock
                if waited:
                    _raise_outcome(lock)
            except BaseException:
                lock.close()
                raise
            lock.close()
            if waited:
                return None

    def _wait(self, lock: IO[bytes], id_: str, name: str) -> bool:
        """Wait for the lock as long as its holder makes progress; tell whether it had to be waited for."""
        if try_alone(lock):
            return False
        seen, since = self._progress(id_), time.monotonic()
        while not try_alone(lock):
            now = self._progress(id_)
            if now != seen:
                seen, since = now, time.monotonic()
            elif time.monotonic() - since > self._stall_s:
                raise Transient(
                    f"{name!r} is being downloaded by another process, which has made no progress for {self._stall_s:g} s."
                )
            time.sleep(_POLL_S)
        return True

    def _progress(self, id_: str) -> tuple[int, int] | None:
        try:
            status = self.partial(id_).stat()
        except FileNotFoundError:
            return None
        return status.st_size, status.st_mtime_ns


def _write_outcome(lock: IO[bytes], error: Alert | Transient) -> None:
    """Leave an error to those who wait; if the disk is full they try for themselves."""
    outcome = {"kind": type(error).__name__, "text": str(error)}
    if isinstance(error, Alert):
        outcome |= {"what": error.what, "remedy": error.remedy}
    # Unbuffered, since closing the file must not try again.
    with contextlib.suppress(OSError):
        os.ftruncate(lock.fileno(), 0)
        os.write(lock.fileno(), json.dumps(outcome).encode())


def _raise_outcome(lock: IO[bytes]) -> None:
    lock.seek(0)
    try:
        outcome = json.loads(lock.read() or b"{}")
    except ValueError:
        return
    kind = outcome.get("kind")
    if kind == "Transient":
        raise Transient(outcome["text"])
    if kind is not None:
        alert = ContentChanged if kind == ContentChanged.__name__ else Alert
        raise alert(outcome["what"], outcome["remedy"])
