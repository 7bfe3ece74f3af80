"""Reads from /proc which processes descend from one, and what they use. Linux only; elsewhere there are none."""

from __future__ import annotations

import os
from pathlib import Path

_PROC = Path("/proc")
_ENDLESS = 1 << 62


def descendants(ancestor: int | None = None) -> list[int]:
    """Return the ids of all processes that descend from a process, by default this one, zombies left out."""
    children, zombies = _family()
    found: list[int] = []
    ahead = list(children.get(os.getpid() if ancestor is None else ancestor, ()))
    while ahead:
        process = ahead.pop()
        found.append(process)
        ahead += children.get(process, ())
    return [process for process in found if process not in zombies]


def heir(process: int, generations: int) -> int | None:
    """Return the oldest child of the oldest child ... of a process, or None if it is not there."""
    children, zombies = _family()
    for _ in range(generations):
        living = [child for child in children.get(process, ()) if child not in zombies]
        if not living:
            return None
        process = min(living, key=_age)
    return process


def parent(process: int) -> int | None:
    """Return the id of the process that has started another, or None if that has ended."""
    found = _state_and_parent(process)
    return None if found is None else found[1]


def _family() -> tuple[dict[int, list[int]], set[int]]:
    """Return the children of each process, and which processes are zombies."""
    children: dict[int, list[int]] = {}
    zombies: set[int] = set()
    for folder in _PROC.iterdir() if _PROC.is_dir() else ():
        if not folder.name.isdigit():
            continue
        process = int(folder.name)
        found = _state_and_parent(process)
        if found is None:
            continue
        children.setdefault(found[1], []).append(process)
        if found[0] in (b"Z", b"X"):
            zombies.add(process)
    return children, zombies


def _state_and_parent(process: int) -> tuple[bytes, int] | None:
    fields = _stat_fields(process)
    return None if fields is None else (fields[0], int(fields[1]))


def _age(process: int) -> int:
    """Return when a process began, in ticks; one that has ended comes last."""
    fields = _stat_fields(process)
    return _ENDLESS if fields is None else int(fields[19])


def _stat_fields(process: int) -> list[bytes] | None:
    """Return what follows the program's name: its state, its parent, ..."""
    try:
        text = (_PROC / str(process) / "stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None  # it has ended since, or is somebody else's where /proc hides those
    # The name is in brackets and may hold any character.
    return text[text.rindex(b")") + 2 :].split()


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
