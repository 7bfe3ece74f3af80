"""A step of a night or a data operation shows that its process lives: it renews a beat in the object store.

Dagster's default launcher does not watch its runs: one whose process dies together with its code server would stay
started for ever, and keep its place in the queue. The sensor `abandoned_runs` fails a run whose beat stands still.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from runstart.errors import Alert, Transient

if TYPE_CHECKING:
    from runstart.storage import ObjectStore

FOLDER = "run_beats"
INTERVAL_SECONDS = 10.0


@contextlib.contextmanager
def beating(store: ObjectStore, run_id: str) -> Iterator[None]:
    """Renew the beat of a Dagster run while the block is executed."""
    over = threading.Event()
    thread = threading.Thread(target=_renew, args=(store, run_id, over), name=f"beat {run_id[:8]}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        forget_beat(store, run_id)


def read_beat(store: ObjectStore, run_id: str) -> int | None:
    """Return the newest beat of a run, a number that no other beat has; None if no step of it is at work.

    Raises
    ------
    Transient
        If the store does not answer.
    """
    from runstart.storage import ObjectMissing

    try:
        return int(json.loads(store.get(_key(run_id)).data)["beat"])
    except (ObjectMissing, ValueError, KeyError, TypeError):
        return None


def forget_beat(store: ObjectStore, run_id: str) -> None:
    """Remove the beat of a run that has ended; one that cannot be removed harms nobody."""
    with contextlib.suppress(Transient, Alert):
        store.delete(_key(run_id))


def _renew(store: ObjectStore, run_id: str, over: threading.Event) -> None:
    while not over.is_set():
        # A store that is away fails the step itself, if it lasts.
        with contextlib.suppress(Transient, Alert):
            store.put(_key(run_id), json.dumps({"beat": time.time_ns()}).encode())
        over.wait(INTERVAL_SECONDS)


def _key(run_id: str) -> str:
    return f"{FOLDER}/{run_id}.json"
