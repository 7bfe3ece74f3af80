"""How long a pod may wait before it is given up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from runstart.variables import read_number


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
    remedy = "Give the seconds that a pod may wait, at least 1."
    pending = read_number(environ, "RUNSTART_POD_PENDING_S", remedy, least=1)
    room = read_number(environ, "RUNSTART_POD_ROOM_S", remedy, least=1)
    return Patience(pending or USUAL_PATIENCE.pending_seconds, room or USUAL_PATIENCE.room_seconds)
