"""Errors of functions that know arrays or paths, told with the file that they are about."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from runstart.errors import Alert, Transient
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
    """Let errors about paths on this machine name the files as the user does."""

    def named(text: str) -> str:
        for path, file in files.items():
            text = text.replace(str(path), file.name)
        return text

    try:
        yield
    except Alert as alert:
        raise Alert(named(alert.what), named(alert.remedy)) from alert
    except Transient as error:
        raise Transient(named(str(error))) from error
