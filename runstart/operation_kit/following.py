"""How far a computation is, as a small object in the store: for those who asked for it over HTTP and wait.

Dagster has the whole story in its event log; this is what a program polls. It lies at `operation_runs/RUN.json`, is renewed
about once a second, and says at the end which key has the outputs, or why there are none. The pruning removes it when
Dagster knows its run no longer.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Literal

from runstart.errors import Alert, Transient
from runstart.storage import ObjectMissing, ObjectStore

FOLDER = "operation_runs"
NOTE_SECONDS = 1.0
_LONGEST = 1000
_BUG = "The operation ended by an error of its own; the log of its run says more."

State = Literal["IN_PROGRESS", "COMPLETED", "FAILED"]


@dataclass(frozen=True)
class Note:
    """What is told of one run.

    Attributes
    ----------
    state : str
        `IN_PROGRESS`, `COMPLETED` or `FAILED`.
    progress : float
        How much is done, 0 to 1.
    message : str
        What is being done, or what went wrong.
    key : str
        The cache key once it is completed.
    at : float
        When it was so, in s since 1970.
    """

    state: State
    progress: float = 0.0
    message: str = ""
    key: str = ""
    at: float = 0.0


class Follower:
    """Notes how far one run is; a store that is away costs a note and never the computation.

    Parameters
    ----------
    store : ObjectStore or None
        Takes the notes; None for a run that nobody follows.
    run_id : str
        The run.
    """

    def __init__(self, store: ObjectStore | None, run_id: str) -> None:
        self._store = store
        self._place = _place(run_id)
        self._progress = 0.0
        self._next = 0.0

    def progress(self, fraction: float, message: str) -> None:
        """Note how much is done, about once a second."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + NOTE_SECONDS
        self._progress = min(max(fraction, 0.0), 1.0)
        self._put(Note("IN_PROGRESS", self._progress, message))

    def complete(self, key: str) -> None:
        """Note that the outputs are there."""
        self._put(Note("COMPLETED", 1.0, "", key))

    def fail(self, message: str) -> None:
        """Note that there will be no outputs."""
        self._put(Note("FAILED", self._progress, message))

    def wait(self, message: str) -> None:
        """Note that it will be tried again."""
        self._put(Note("IN_PROGRESS", self._progress, message))

    def _put(self, note: Note) -> None:
        if self._store is None:
            return
        told = {**asdict(note), "message": note.message[:_LONGEST], "at": time.time()}
        with contextlib.suppress(Transient):
            self._store.put(self._place, json.dumps(told).encode())


@contextlib.contextmanager
def following(store: ObjectStore | None, run_id: str) -> Iterator[Follower]:
    """Give what notes how far a run is; how the block ends is noted too.

    Parameters
    ----------
    store : ObjectStore or None
        Takes the notes; None for a run that nobody follows.
    run_id : str
        The run.
    """
    follower = Follower(store, run_id)
    follower.progress(0.0, "Begun")
    try:
        yield follower
    except Alert as alert:
        follower.fail(str(alert))
        raise
    except Transient as error:
        follower.wait(f"Tried again soon: {error}")
        raise
    except BaseException:
        follower.fail(_BUG)
        raise


def read_note(store: ObjectStore, run_id: str) -> Note | None:
    """Return what was noted of a run last; None if nothing was, or it cannot be read.

    Raises
    ------
    Transient
        If the store does not answer.
    """
    try:
        return Note(**json.loads(store.get(_place(run_id)).data))
    except (ObjectMissing, ValueError, TypeError):
        return None


def list_notes(store: ObjectStore) -> dict[str, str]:
    """Return the object keys of all notes, by run.

    Raises
    ------
    Transient
        If the store does not answer.
    """
    return {key.removeprefix(f"{FOLDER}/").removesuffix(".json"): key for key in store.list(f"{FOLDER}/")}


def _place(run_id: str) -> str:
    return f"{FOLDER}/{run_id}.json"
