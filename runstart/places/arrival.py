"""A file that lies where files arrive."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Arrival:
    """A file that lies where files arrive.

    Attributes
    ----------
    name : str
        Its path below the folder or prefix.
    version : str
        Changes when the file does.
    size : int
        In bytes.
    modified : float
        When it was changed last, in seconds since 1970.
    """

    name: str
    version: str
    size: int
    modified: float


@dataclass(frozen=True)
class Listing:
    """What lies where files arrive.

    Attributes
    ----------
    arrivals : tuple of Arrival
        The files that are looked for, whole or not, by name.
    refused : mapping of str to str
        Why a file cannot be taken, by its name.
    """

    arrivals: tuple[Arrival, ...]
    refused: Mapping[str, str]
