"""Locks on files that the kernel releases when their holder dies, among processes and among threads.

A lock belongs to an open file, not to a name. So whoever has got one looks whether the name still stands for the
same file; a lock on a removed file excludes nobody. A process that is forked while a lock is held holds it too.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import IO


def is_current(file: IO[bytes], path: Path) -> bool:
    """Tell whether a path still names an open file.

    Parameters
    ----------
    file : binary file
        The open file.
    path : Path
        The name under which it was opened.

    Returns
    -------
    bool
        False if the name is gone or belongs to another file.
    """
    try:
        named = path.stat(follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(named, os.fstat(file.fileno()))


def open_shared(path: Path) -> BufferedReader | None:
    """Open a file and hold a shared lock on it until it is closed.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    binary file or None
        The open file; None if there is none, or if it was removed meanwhile.
    """
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_SH)
        if is_current(file, path):
            return file
    except BaseException:
        file.close()
        raise
    file.close()
    return None


def open_alone(path: Path) -> BufferedReader | None:
    """Open a file and hold an exclusive lock on it until it is closed, if nobody else holds one now.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    binary file or None
        The open file; None if somebody holds a lock on it.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    """
    file = path.open("rb")
    if try_alone(file) and is_current(file, path):
        return file
    file.close()
    return None


def try_alone(file: IO[bytes]) -> bool:
    """Take the exclusive lock on an open file, if nobody else holds one.

    Parameters
    ----------
    file : binary file
        The open file; closing it releases the lock.

    Returns
    -------
    bool
        True if the lock was taken.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextlib.contextmanager
def turn(path: Path) -> Iterator[None]:
    """Wait for one's turn among all threads and processes.

    Parameters
    ----------
    path : Path
        A file that exists for this lock alone and is never removed.
    """
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
