"""How long a pod may wait before it is given up."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from runstart.errors import Alert


@dataclass(frozen=True)
class Patience:
    """How long a pod may wait.

    Attributes
    ----------
    pending_seconds : float
        In vain, for its place and its volumes (`RUNSTART_POD_PENDING_S`); where nodes are made when they are needed, as
        long as that takes.
    room_seconds : float
        For others to make room (`RUNSTART_POD_ROOM_S`).
    """

    pending_seconds: float = 120.0
    room_seconds: float = 3600.0


USUAL_PATIENCE = Patience()


def read_patience(environ: Mapping[str, str]) -> Patience:
    """Return what the environment says; what it does not say is as by default.

    Parameters
    ----------
    environ : mapping
        Usually `os.environ`.

    Raises
    ------
    Alert
        A variable does not have its form.
    """
    return Patience(
        pending_seconds=_seconds(environ, "RUNSTART_POD_PENDING_S", USUAL_PATIENCE.pending_seconds),
        room_seconds=_seconds(environ, "RUNSTART_POD_ROOM_S", USUAL_PATIENCE.room_seconds),
    )


def _seconds(environ: Mapping[str, str], variable: str, usual: float) -> float:
    text = environ.get(variable)
    if not text:
        return usual
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 1 <= seconds < math.inf:
        raise Alert(f"{variable} is {text[:80]!r}.", "Give the seconds that a pod may wait, at least 1.")
    return seconds
