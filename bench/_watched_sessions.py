"""Sessions of operators in processes of their own, timed by what the operators count, in the files where they count it.

Only the streaming is timed, not the start of processes: from the last look at which the source had sent nothing, to the
first at which the operator at the end had worked on everything. Looks are a millisecond apart.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from runstart.launchers import SubprocessLauncher
from runstart.operators.counters import Counters
from runstart.pipelines import Plan
from runstart.sessions import (
    Allowance,
    Published,
    SessionOrder,
    SessionSettings,
    SessionStatus,
    new_session_id,
    run_session,
)
from runstart.sessions.doors import Sender
from runstart.sessions.folders import find_session_folders
from runstart.sessions.wiring import ProcessWiring
from runstart.specifications import find_operators
from runstart.storage import FileStore

OPERATORS = Path(__file__).parents[1] / "operators"
QUEUE = SessionSettings.queue
_LOOK_S = 0.001


@dataclass
class Watched:
    """A session that is over.

    Attributes
    ----------
    seconds : float
        Of the streaming.
    published : list of Published
        What operators have shown.
    """

    seconds: float
    published: list[Published]


@dataclass
class _Reporter:
    outputs: list[Published] = field(default_factory=list)

    def log(self, text: str) -> None:
        pass

    def status(self, status: SessionStatus) -> None:
        pass

    def published(self, published: Published) -> None:
        self.outputs.append(published)


def run_watched(
    plan: Plan,
    folder: Path,
    source: str,
    end: str,
    count: int,
    triggers: tuple[tuple[str, str], ...] = (),
    operators: Sequence[Path] = (OPERATORS,),
) -> Watched:
    """Run a session as processes, and time its streaming.

    Parameters
    ----------
    plan : Plan
        What runs.
    folder : Path
        For its store and reservations.
    source, end : str
        Stages of one replica each: where messages begin, and where they end.
    count : int
        Messages that come to the end.
    triggers : tuple of (str, str)
        Stage and trigger, in order.
    operators : sequence of Path
        Folders of operators.
    """
    order = SessionOrder(new_session_id(), plan, triggers=triggers)
    settings = SessionSettings(
        operators={name: found.folder for name, found in find_operators(operators).items()},
        allowance=Allowance(memory_bytes=8 << 30),
        reservations=folder / "reservations",
    )
    reporter, is_over = _Reporter(), threading.Event()
    watch = _Watch(order, source, end, count, is_over.is_set)
    watch.start()
    try:
        outcome = run_session(order, SubprocessLauncher(), FileStore(folder / "store"), settings, reporter)
    finally:
        is_over.set()
        watch.join()
    if outcome.dead_letters or outcome.operators[end].finished != count:
        raise RuntimeError(f"the session has not worked on all {count} messages: {outcome.as_dict()}")
    if not watch.began_at < watch.ended_at:
        raise RuntimeError("the streaming was not seen to begin and to end")
    return Watched(watch.ended_at - watch.began_at, reporter.outputs)


class _Watch(threading.Thread):
    def __init__(self, order: SessionOrder, source: str, end: str, count: int, is_over: Callable[[], bool]) -> None:
        super().__init__(daemon=True)
        self._order, self._source, self._end, self._count, self._is_over = order, source, end, count, is_over
        self.began_at, self.ended_at = math.inf, 0.0

    def run(self) -> None:
        folder = self._wait_for_folder()
        if folder is None:
            return
        wiring = ProcessWiring(self._order.plan, folder)
        sent_by, taken_by = (wiring.counters(Sender(name, 0, 0)) for name in (self._source, self._end))
        while not self._is_over():
            looked_at = time.perf_counter()
            # The session makes the file empty, and fills it at once.
            if sent_by.exists() and sent_by.stat().st_size and any(Counters.read(sent_by).sent):
                break
            self.began_at = looked_at
            time.sleep(_LOOK_S)
        while not self._is_over():
            if Counters.read(taken_by).finished >= self._count:
                self.ended_at = time.perf_counter()
                return
            time.sleep(_LOOK_S)

    def _wait_for_folder(self) -> Path | None:
        while not self._is_over():
            for found in find_session_folders():
                if found.session_id == self._order.session_id:
                    return found.path
            time.sleep(_LOOK_S)
        return None
