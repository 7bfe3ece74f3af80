"""Whether a process that once was known still runs: numbers of processes are given again."""

from __future__ import annotations

# The time when a process began is known from the clock of today, which may have been set meanwhile.
_CLOCK_SLACK_S = 60.0


def is_alive(pid: int, known_at: float) -> bool:
    """Tell whether a process of this machine still runs.

    Parameters
    ----------
    pid : int
        Its number.
    known_at : float
        Unix time in seconds at which it had this number; a process that began later is another one.
    """
    import psutil

    try:
        process = psutil.Process(pid)
        return bool(process.status() != psutil.STATUS_ZOMBIE and process.create_time() <= known_at + _CLOCK_SLACK_S)
    except (psutil.NoSuchProcess, ValueError):
        return False
    except psutil.AccessDenied:
        return True
