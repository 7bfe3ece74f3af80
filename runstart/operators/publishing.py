"""Showing an operator's output to people: it goes to whatever runs the operator, which decides what becomes of it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True)
class Published:
    """An output that is shown.

    Attributes
    ----------
    media_type : str
        Such as `image/png`.
    data : bytes
        The output.
    name : str
        For people.
    keep : bool
        Whether every one is kept, in order, and not only the newest.
    """

    media_type: str
    data: bytes
    name: str = ""
    keep: bool = False


Shower: TypeAlias = Callable[[Published], None]


def publish(media_type: str, data: bytes, name: str = "", keep: bool = False) -> None:
    """Show an output in the UI, where it replaces the one before.

    Parameters
    ----------
    media_type : str
        What it is, such as `image/png` or `application/json`.
    data : bytes
        The output.
    name : str, optional
        What people call it; as a file's name if it is to be saved under it.
    keep : bool, optional
        Whether every one is kept, in order, and not only the newest.
    """
    _showers[-1](Published(media_type, bytes(data), name, keep))


@contextmanager
def shown_by(shower: Shower) -> Iterator[None]:
    """Have everything that is published meanwhile go to `shower`."""
    _showers.append(shower)
    try:
        yield
    finally:
        _showers.remove(shower)


def _tell(published: Published) -> None:
    """Say on the terminal that something was published: nobody else is there."""
    name = published.name or "something"
    sys.stderr.write(f"Published: {name}, {published.media_type}, {len(published.data)} bytes.\n")


_showers: list[Shower] = [_tell]
