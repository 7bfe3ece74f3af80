"""Executes the real job of one run in a process of its own, which can be held at a chosen instant and killed.

The processes are forked from one that has imported everything (multiprocessing's fork server), so that one more costs
a tenth of a second. What a test changes, it changes only here: a store that is held at a key or out of order, a
shorter lease, a shorter patience.
"""

from __future__ import annotations

import contextlib
import functools
import http.client
import itertools
import multiprocessing
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from multiprocessing import forkserver
from pathlib import Path
from typing import Any, TypeVar

import dagster as dg
import psutil

import definitions
import ops.reporting  # noqa: F401 - imported before forking, not after
from resources import ObjectStoreResource
from runstart.errors import Transient
from runstart.instruments import Bank, Instrument, TofAxis
from runstart.storage import ObjectStore, StoredObject
from runstart.views import Series, Views

_T = TypeVar("_T")


@dataclass(frozen=True)
class Halt:
    """Where a worker stands still until it is killed or told to go on.

    Attributes
    ----------
    operation : str
        `put` (of any kind) or `get`.
    key : str
        Regular expression that the key holds.
    instant : str
        `before`, `inside` (some of the data is written) or `after` (the store has it, the caller does not know).
    occurrence : int
        Which of the operations that fit: 1 is the first.
    """

    operation: str
    key: str
    instant: str = "before"
    occurrence: int = 1


@dataclass(frozen=True)
class Order:
    """What a worker is to do.

    Attributes
    ----------
    folder : Path
        Gets `log` and, when the worker stands still, `halted`; the store is out of order while `outage` exists there.
    environ : mapping of str to str
        Deployment; see `definitions.py`.
    """

    folder: Path
    environ: Mapping[str, str]
    instrument: str
    partition_key: str
    run_id: str
    root_run_id: str
    parent_run_id: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    halt: Halt | None = None
    lease_seconds: float = 30.0
    give_up_seconds: float = 3600.0


class RunWorker:
    """A worker process; killed at the latest when the context ends."""

    def __init__(self, order: Order) -> None:
        self.order = order
        order.folder.mkdir(parents=True, exist_ok=True)
        self._process = _context().Process(target=_work, args=(order,), daemon=True)
        self._process.start()

    def __enter__(self) -> RunWorker:
        return self

    def __exit__(self, *exception: object) -> None:
        self.kill()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def log(self) -> str:
        path = self.order.folder / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def kill(self) -> None:
        """Kill -9, and wait until it is gone."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        self._process.join(10)

    def interrupt(self) -> None:
        """Do what Dagster's termination does to a run's process."""
        os.kill(self.pid, signal.SIGINT)

    def suspend(self) -> None:
        """Stop all its threads, as a machine does that hangs, between two writes: it would keep their locks."""
        os.kill(self.pid, signal.SIGSTOP)
        while self._holds_write_lock():
            os.kill(self.pid, signal.SIGCONT)
            time.sleep(0.01)
            os.kill(self.pid, signal.SIGSTOP)

    def _holds_write_lock(self) -> bool:
        while psutil.Process(self.pid).status() != psutil.STATUS_STOPPED:
            time.sleep(0.001)
        locks = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
        return any(fields[3] == "WRITE" and fields[4] == str(self.pid) for fields in locks if "->" not in fields)

    def resume(self) -> None:
        """Let it go on."""
        os.kill(self.pid, signal.SIGCONT)

    def wait_until_halted(self, timeout: float = 60.0) -> None:
        """Wait until it stands still where it was told to."""
        marker = self.order.folder / "halted"
        deadline = time.monotonic() + timeout
        while not marker.exists():
            assert self._process.is_alive(), f"The worker ended before its halt:\n{self.log[-6000:]}"
            assert time.monotonic() < deadline, f"The worker did not come to its halt:\n{self.log[-6000:]}"
            time.sleep(0.01)

    def go_on(self) -> None:
        """Let it go on from its halt."""
        (self.order.folder / "go_on").touch()

    def wait(self, timeout: float = 60.0) -> bool:
        """Wait until it ends, and return whether the run succeeded."""
        self._process.join(timeout)
        assert not self._process.is_alive(), f"The worker did not end:\n{self.log[-6000:]}"
        return self._process.exitcode == 0

    def succeed(self, timeout: float = 60.0) -> None:
        """Wait until it ends, and demand success."""
        assert self.wait(timeout), self.log[-6000:]

    @property
    def alive(self) -> bool:
        return self._process.is_alive()


@functools.cache
def _context() -> Any:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["run_worker", "run_worker_warm"])
    # Python 3.11 does not give the fork server our sys.path, and is silent when it cannot import.
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(sys.path)
    try:
        forkserver.ensure_running()
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before
    return context


def warm_up() -> None:
    """Load what a run needs, compiled kernels and drawing included, for all processes forked from this one."""
    instrument = Instrument(
        name="WARM",
        banks=(Bank(name="a", shape=(2, 2), first_detector_id=1),),
        tof=TofAxis(start_us=0, stop_us=10, bins=10),
        views=("tof", "pixel", "pixel_tof"),
    )
    import dagster_aws.s3  # noqa: F401
    import numpy as np

    import runstart.product

    for dtype in (np.uint32, np.int32):
        events = np.arange(3, dtype=dtype)
        events.setflags(write=False)
        views = Views(instrument, 1)
        views.add(events, events, 0)
        views.add(events, None, 0)
    product = runstart.product.RunProduct(
        instrument=instrument,
        partition_key="warm",
        run_name="warm",
        start_time_ns=0,
        stop_time_ns=None,
        n_periods=1,
        views=views,
        series=Series(0),
        ledger={},
        provenance={},
    )
    runstart.product.pictures_png(product)
    runstart.product.nexus_bytes(product)


def _work(order: Order) -> None:
    """Execute the run; the exit status is 0 for success."""
    os.setsid()
    log = os.open(order.folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    # Dagster listens to SIGINT; multiprocessing has told the child to leave it to the parent.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.update(order.environ)
    _shorten(order)
    opened = ObjectStoreResource.open
    ObjectStoreResource.open = lambda self: _FaultyStore(opened(self), order)  # type: ignore[method-assign]
    from dagster._core.definitions.job_base import InMemoryJob
    from dagster._core.execution.api import execute_run

    defs = definitions.build_definitions(os.environ)
    job = defs.resolve_job_def(f"live_reduction_{order.instrument}")
    with dg.DagsterInstance.from_config(os.environ["DAGSTER_HOME"]) as instance:
        run = instance.create_run_for_job(
            job_def=job,
            run_id=order.run_id,
            tags={"dagster/partition": order.partition_key, **job.tags, **order.tags},
            root_run_id=None if order.root_run_id == order.run_id else order.root_run_id,
            parent_run_id=order.parent_run_id,
        )
        result = execute_run(InMemoryJob(job), run, instance)
    sys.stdout.flush()
    os._exit(0 if result.success else 1)


def _shorten(order: Order) -> None:
    import runstart.live

    runstart.live.Launch = functools.partial(  # type: ignore[assignment,misc]
        runstart.live.Launch, lease_seconds=order.lease_seconds, give_up_seconds=order.give_up_seconds
    )


class _FaultyStore(ObjectStore):
    """Hands everything on to the store, unless the order says otherwise."""

    fitting = itertools.count(1)  # of the process: each check opens the store anew

    def __init__(self, inner: ObjectStore, order: Order) -> None:
        self._inner = inner
        self._order = order

    def get(self, key: str) -> StoredObject:
        return self._do("get", key, lambda: self._inner.get(key))

    def head(self, key: str) -> str | None:
        return self._do("head", key, lambda: self._inner.head(key))

    def put(self, key: str, data: bytes) -> str:
        return self._do("put", key, lambda: self._inner.put(key, data))

    def put_if_absent(self, key: str, data: bytes) -> str:
        return self._do("put", key, lambda: self._inner.put_if_absent(key, data))

    def put_if_match(self, key: str, data: bytes, etag: str) -> str:
        return self._do("put", key, lambda: self._inner.put_if_match(key, data, etag))

    def delete(self, key: str) -> None:
        self._do("delete", key, lambda: self._inner.delete(key))

    def list(self, prefix: str = "") -> Any:
        return self._do("list", prefix, lambda: self._inner.list(prefix))

    def _do(self, operation: str, key: str, act: Callable[[], _T]) -> _T:
        if operation in ("put", "delete") and (self._order.folder / "outage").exists():
            (self._order.folder / "refused").touch()
            raise Transient("The store is out of order, by order of a test.")
        halt = self._order.halt
        if halt is None or halt.operation != operation or not re.search(halt.key, key):
            return act()
        if next(self.fitting) != halt.occurrence:
            return act()
        if halt.instant == "before":
            _stand_still(self._order.folder)
            return act()
        if halt.instant == "inside":
            with _standing_still_inside(self._order.folder):
                act()
            raise AssertionError("Nothing was written inside this put.")
        done = act()
        _stand_still(self._order.folder)
        return done


@contextlib.contextmanager
def _standing_still_inside(folder: Path) -> Iterator[None]:
    """Stand still once a file is written but has no name, or once half of a request is sent."""
    sent, synced = http.client.HTTPConnection.send, os.fsync
    me = threading.get_ident()

    def fsync(descriptor: int) -> None:
        if threading.get_ident() == me:
            _stand_still(folder)
        synced(descriptor)

    def send(connection: http.client.HTTPConnection, data: Any) -> None:
        whole = isinstance(data, bytes | bytearray | memoryview) and len(data) > 1000
        if threading.get_ident() == me and (whole or hasattr(data, "read")):
            body = data if whole else data.read()
            sent(connection, body[: len(body) // 2])
            _stand_still(folder)
        sent(connection, data)

    os.fsync, http.client.HTTPConnection.send = fsync, send  # type: ignore[assignment,method-assign]
    yield


def _stand_still(folder: Path) -> None:
    (folder / "halted").touch()
    while not (folder / "go_on").exists():
        time.sleep(0.02)
