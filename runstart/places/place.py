"""What every place has in common, and which files are looked for there.

Names that begin with a dot or end with `.part` or `.tmp` are other programs' half-written files. Names that cannot be
used, and links that lead out of the folder, are refused with the reason. Folders that are links are not entered.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from runstart.errors import Alert
from runstart.places.arrival import Arrival, Listing


class FileGone(Exception):
    """A file that was listed is gone, or was replaced meanwhile: it is looked at again later."""


@dataclass(frozen=True)
class Wanted:
    """Which files are looked for, and how messages speak of them.

    Attributes
    ----------
    things : str
        What they are, such as `exposures`.
    declared : str
        Where the place is declared, such as `the site's exposures in sites.toml`.
    suffixes : tuple of str
        How their names end, in lower case; the case of a name does not matter.
    explain_name : callable
        Returns why a path below the place cannot be used; empty if it can.
    version_of : callable
        Returns the version of a file of a folder of its status.
    """

    things: str
    declared: str
    suffixes: tuple[str, ...]
    explain_name: Callable[[str], str]
    version_of: Callable[[os.stat_result], str]

    def has(self, name: str) -> bool:
        """Return whether a file's name ends as those that are looked for."""
        return name.lower().endswith(self.suffixes)


class Place(ABC):
    """Where files arrive."""

    @abstractmethod
    def listing(self) -> Listing:
        """Return what lies there.

        Raises
        ------
        Alert
            If it may not be read.
        Transient
            If it does not answer.
        """

    @abstractmethod
    def find(self, name: str) -> Arrival:
        """Return a file as it is now.

        Parameters
        ----------
        name : str
            Its path below the place, from outside.

        Raises
        ------
        FileGone
            If there is none.
        Alert
            If it cannot be taken, for the reason that a listing would give.
        Transient
            If the place does not answer.
        """

    @abstractmethod
    def is_there(self) -> bool:
        """Tell whether the place exists."""


def is_ignored(name: str) -> bool:
    """Return whether a file or folder is another program's, by its name."""
    return name.startswith(".") or name.endswith((".part", ".tmp"))


def sorted_listing(arrivals: Iterable[Arrival], refused: dict[str, str]) -> Listing:
    """Return a listing by name."""
    return Listing(tuple(sorted(arrivals, key=lambda arrival: arrival.name)), dict(sorted(refused.items())))


def check_name(name: str, wanted: Wanted) -> None:
    """Make sure that a name from outside is that of a file that a listing would have.

    Raises
    ------
    Alert
        If it is not.
    """
    reason = wanted.explain_name(name)
    if not reason and (any(map(is_ignored, name.split("/"))) or not wanted.has(name)):
        reason = f"names of {wanted.things} end with {', '.join(wanted.suffixes)}, and do not begin with a dot"
    if reason:
        raise cannot_be_taken(name, reason)


def cannot_be_taken(name: str, reason: str) -> Alert:
    """Return the alert about a file that a listing would refuse."""
    return Alert(f"{name[:200]!a} cannot be taken: {reason}.", "Rename it, or put the file itself there.")
