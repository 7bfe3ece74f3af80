"""Private folders for computations; what a killed process has left is removed by the next one.

A folder's owner holds a lock on it, which the kernel releases when the owner dies. Folders are made and swept under
one lock of the root: so a folder that is not locked has no owner.
"""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

_PREFIX = "work-"
_LOCK = "lock"


@contextlib.contextmanager
def scratch_folder(root: Path) -> Iterator[Path]:
    """Give a new folder below `root`, and remove it at the end."""
    root.mkdir(parents=True, exist_ok=True)
    with (root / _LOCK).open("ab") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        _sweep(root)
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=root))
        lock = _locked(folder)
    try:
        with lock:
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # what stays is swept by the next


def _locked(folder: Path) -> IO[bytes]:
    lock = (folder / _LOCK).open("wb")
    fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


def _sweep(root: Path) -> None:
    for folder in root.glob(f"{_PREFIX}*"):
        try:
            with (folder / _LOCK).open("rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue  # in use
        except FileNotFoundError:
            pass  # its maker was killed before it could lock it
        shutil.rmtree(folder, ignore_errors=True)
