"""How sessions of every kind come to their end: why is told to whoever keeps the record, and what they made is removed."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from runstart.errors import Alert, Transient

if TYPE_CHECKING:
    from runstart.launchers import Launcher, Task
    from runstart.sessions.records import State

_AGAIN_S = 1.0
_AT_ONCE = 8
_REMOVAL_S = 30.0


@contextlib.contextmanager
def closing(close: Callable[[State, str], object], judged: type[Alert]) -> Iterator[None]:
    """Close a session that breaks off, with the reason; whatever broke it off goes on.

    Parameters
    ----------
    close : callable
        Takes the state in which it ends, and why.
    judged : type of Alert
        What is raised of a session that came to its end: only what was wrong is its reason, not what to do.
    """
    try:
        yield
    except (Alert, Transient) as problem:
        close("failed", problem.what if isinstance(problem, judged) else str(problem))
        raise
    except BaseException as interruption:
        close("stopped", f"{type(interruption).__name__}: {interruption}".rstrip(": "))
        raise


def remove_tasks(launcher: Launcher, tasks: Sequence[Task]) -> list[Exception | None]:
    """Remove tasks, several pods at a time, as each takes a while to go; return why each could not be removed, or None."""

    def remove(task: Task) -> Exception | None:
        try:
            launcher.remove(task)
        except (Alert, Transient, OSError) as problem:
            return problem
        return None

    if launcher.shares_machine:
        return [remove(task) for task in tasks]
    with ThreadPoolExecutor(_AT_ONCE, "session removal") as pool:
        return list(pool.map(remove, tasks))


def remove_persistently(remove: Callable[[], None], give_up: Callable[[Exception], None]) -> None:
    """Remove something, again and again for a while if the engine does not answer.

    Parameters
    ----------
    remove : callable
        Removes it.
    give_up : callable
        Takes why it could not be removed.
    """
    deadline = time.monotonic() + _REMOVAL_S
    while True:
        try:
            remove()
        except (Alert, Transient) as problem:
            if time.monotonic() > deadline:
                give_up(problem)
                return
            time.sleep(_AGAIN_S)
        else:
            return
