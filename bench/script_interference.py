"""Counting beside a reduction script that spins, allocates, forks or prints, against counting alone.

One process counts messages with `Views.add`, as a live run does, while a thread of it executes a script again and
again: input written, process started, limits held, processes removed. Rounds of both alternate. `ratio` is the
throughput beside the script over the throughput alone: 1 means that the script costs nothing. The largest stall
is the longest time between two messages. The rows `.one_core` give everything a single core.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from hashlib import sha256
from itertools import cycle

import numpy as np

from bench._events import START_NS, Events, make_events, make_instrument, messages_in_rotation
from bench._measure import Row, Scale
from runstart.instruments.script import Script
from runstart.launchers import SubprocessLauncher
from runstart.product import RunProduct
from runstart.scripts import FetchedScript, ScriptInput, execute
from runstart.views import Series, Views

_SCRIPTS = {
    "averages": "def reduce(run):\n    return {'tof': run.tof.sum(axis=0) / run.proton_charge_uah}\n",
    "spins": "def reduce(run):\n    while True:\n        pass\n",
    "allocates": "import numpy as np\n\ndef reduce(run):\n    kept = []\n    while True:\n"
    "        kept.append(np.ones(1_000_000))\n",
    "forks": "import os\n\ndef reduce(run):\n    while True:\n        try:\n            os.fork()\n"
    "        except OSError:\n            pass\n",
    "prints": "def reduce(run):\n    while True:\n        print('x' * 1000)\n",
}


def run(scale: Scale) -> Iterator[Row]:
    """Yield a row for each script, with all cores and with one."""
    n_events = scale.pick(100_000, 1_000)
    messages = [make_events(n_events, seed) for seed in range(messages_in_rotation(n_events))]
    launcher = SubprocessLauncher()
    for suffix, cores in (("", None), (".one_core", {min(_allowed_cores())})):
        for name, text in _SCRIPTS.items():
            with _on_cores(cores):
                yield _compare(f"script_interference.{name}{suffix}", text, messages, launcher, scale)


def _compare(name: str, text: str, messages: Sequence[Events], launcher: SubprocessLauncher, scale: Scale) -> Row:
    seconds = scale.pick(3.0, 0.3)
    script = Script(folder="/bench", timeout=seconds, memory_mb=512)
    fetched = FetchedScript(text.encode(), sha256(text.encode()).hexdigest(), "bench")
    views = Views(make_instrument())
    for events in messages:
        views.add(*events)
    product_views = views.copy()
    series = Series(START_NS)
    series.add_charge(START_NS, 1.0)
    product = RunProduct(views.instrument, "key", "run", START_NS, None, 1, product_views, series, {}, {})
    script_input = ScriptInput.from_product(product, finished=False)
    alone: list[float] = []
    beside: list[float] = []
    stalls_alone: list[float] = []
    stalls: list[float] = []
    outcomes: Counter[str] = Counter()
    for _ in range(scale.pick(5, 1)):
        rate, stall = _count(views, messages, seconds)
        alone.append(rate)
        stalls_alone.append(stall)
        done = threading.Event()
        ended: list[str] = []

        def work(done: threading.Event = done, ended: list[str] = ended) -> None:
            while not done.is_set():
                ended.append(execute(script, fetched, script_input, launcher).error)

        worker = threading.Thread(target=work)
        worker.start()
        rate, stall = _count(views, messages, seconds)
        done.set()
        worker.join()
        beside.append(rate)
        stalls.append(stall)
        outcomes.update(error or "done" for error in ended)
    return Row(
        name=name,
        ours=statistics.median(beside),
        peer=statistics.median(alone),
        peer_name="counting alone",
        unit="million events/s",
        ratio=statistics.median(b / a for a, b in zip(alone, beside, strict=True)),
        packages=("numba",),
        parameters={
            "events_per_message": len(messages[0][0]),
            "seconds_per_round": seconds,
            "executions": dict(outcomes),
            "isolation": launcher.isolation,
            "largest_stall_s": round(max(stalls), 4),
            "largest_stall_alone_s": round(max(stalls_alone), 4),
        },
    )


def _count(views: Views, messages: Sequence[Events], seconds: float) -> tuple[float, float]:
    """Return million events per second and the longest time from one message to the next, in s."""
    counted, longest = 0, 0.0
    began = last = time.perf_counter()
    for events in cycle(messages):
        views.add(*events)
        counted += np.size(events[0])
        now = time.perf_counter()
        longest, last = max(longest, now - last), now
        if now - began > seconds:
            break
    return counted / (last - began) / 1e6, longest


def _allowed_cores() -> set[int]:
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else {0}


@contextlib.contextmanager
def _on_cores(cores: set[int] | None) -> Iterator[None]:
    """Keep this process, and what it starts meanwhile, on some cores."""
    if cores is None or not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
