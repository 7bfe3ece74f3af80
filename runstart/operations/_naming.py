"""Alerts of functions on arrays, which know no files, told with the file that they are about."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from runstart.errors import Alert
from runstart.operation_kit import FitsFile


@contextmanager
def about(name: str) -> Iterator[None]:
    """Let alerts begin with a file's name, unless they have it already."""
    try:
        yield
    except Alert as alert:
        if name in alert.what:
            raise
        raise Alert(f"{name}: {alert.what}", alert.remedy) from alert


@contextmanager
def naming(files: Mapping[Path, FitsFile]) -> Iterator[None]:
    """Let alerts about paths on this machine name the files as the user does."""
    try:
        yield
    except Alert as alert:
        what, remedy = alert.what, alert.remedy
        for path, file in files.items():
            what, remedy = what.replace(str(path), file.name), remedy.replace(str(path), file.name)
        raise Alert(what, remedy) from alert
