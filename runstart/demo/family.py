"""No process outlives a demonstration, not even a run that Dagster has started in a session of its own.

On Linux this process adopts orphans (PR_SET_CHILD_SUBREAPER), so that whatever its children have started stays
in its tree when they end; elsewhere the tree is remembered before the children are stopped.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

import psutil

from runstart.errors import Transient

_PR_SET_CHILD_SUBREAPER = 36
_PATIENCE_S = 3.0


def adopt_orphans() -> None:
    """Make this process the parent of its descendants' orphans, where the system can.

    Raises
    ------
    Transient
        If the kernel refuses.
    """
    if sys.platform != "linux":
        return
    import ctypes

    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise Transient("The kernel does not let this process adopt orphans.")


def descendants() -> list[psutil.Process]:
    """Return all processes that this one, its children, theirs, and so on, have started."""
    found: list[psutil.Process] = psutil.Process().children(recursive=True)
    return found


def ask_to_stop(processes: Iterable[psutil.Process]) -> None:
    """Send SIGTERM to processes that may have ended already."""
    for process in processes:
        if process.is_running():
            _signal(process, "terminate")


def end(processes: Iterable[psutil.Process], patience: float = _PATIENCE_S) -> int:
    """End processes and whatever this process has adopted: SIGTERM, then SIGKILL.

    Parameters
    ----------
    processes : iterable of psutil.Process
        Remembered earlier; ones that have ended are no matter.
    patience : float, optional
        Seconds between the two signals.

    Returns
    -------
    int
        How many had to be killed.
    """
    alive = [process for process in {*processes, *descendants()} if process.is_running()]
    ask_to_stop(alive)
    _, stubborn = psutil.wait_procs(alive, timeout=patience)
    stubborn = list({*stubborn, *descendants()})
    for process in stubborn:
        _signal(process, "kill")
    psutil.wait_procs(stubborn, timeout=patience)
    return len(stubborn)


def _signal(process: psutil.Process, how: str) -> None:
    try:
        getattr(process, how)()
    except psutil.NoSuchProcess:
        return
