"""Reads from /proc which processes descend from this one, and what they use. Linux only; elsewhere there are none."""

from __future__ import annotations

import os
from pathlib import Path

_PROC = Path("/proc")
_ENDLESS = 1 << 62


def descendants() -> list[int]:
    """Return the ids of all processes that descend from this one, zombies left out."""
    children: dict[int, list[int]] = {}
    zombies: set[int] = set()
    for folder in _PROC.iterdir() if _PROC.is_dir() else ():
        if not folder.name.isdigit():
            continue
        try:
            text = (folder / "stat").read_bytes()
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue  # it has ended since, or is somebody else's where /proc hides those
        # The program's name is in brackets and may hold any character.
        state, parent = text[text.rindex(b")") + 2 :].split(None, 2)[:2]
        children.setdefault(int(parent), []).append(int(folder.name))
        if state in (b"Z", b"X"):
            zombies.add(int(folder.name))
    found: list[int] = []
    ahead = list(children.get(os.getpid(), ()))
    while ahead:
        process = ahead.pop()
        found.append(process)
        ahead += children.get(process, ())
    return [process for process in found if process not in zombies]


def resident_bytes(processes: list[int]) -> int:
    """Return the resident memory of processes; pages that several share are counted for each."""
    pages = 0
    for process in processes:
        try:
            pages += int((_PROC / str(process) / "statm").read_bytes().split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended since
    return pages * os.sysconf("SC_PAGE_SIZE")


def folder_bytes(folders: list[str], most_entries: int) -> int:
    """Return the bytes below folders, links not followed; infinitely many if the walk cannot be finished.

    Parameters
    ----------
    folders : list of str
        Walked one after the other.
    most_entries : int
        Bound of the walk: with more, it is not finished.
    """
    total = entries = 0
    ahead = list(folders)
    while ahead:
        try:
            with os.scandir(ahead.pop()) as listing:
                for entry in listing:
                    entries += 1
                    if entries > most_entries:
                        return _ENDLESS
                    if entry.is_dir(follow_symlinks=False):
                        ahead.append(entry.path)
                    else:
                        total += _bytes_of(entry)
        except (FileNotFoundError, NotADirectoryError):
            continue  # changed under the walk by the task
        except OSError:
            return _ENDLESS  # too deep or closed: the task made it so
    return total


def _bytes_of(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat(follow_symlinks=False).st_size
    except FileNotFoundError:
        return 0  # removed under the walk
