"""A run that is killed, at whatever instant and however often, ends with the result of one that never was."""

from __future__ import annotations

import numpy as np
import pytest
from dagster_kit import DagsterFacility
from run_worker import Halt, RunWorker
from scripted_stream import PULSE_MS, check_against, make_messages, publish, recount
from waiting import let_pass, wait_until

from runstart.live import read_head

pytestmark = [pytest.mark.broker, pytest.mark.faults]

LIVES = 10
LIVES_BEFORE_STOP = 8


@pytest.mark.timeout(200)
@pytest.mark.parametrize("seed", [1, 2])
def test_ten_kills_at_random_instants_change_nothing(facility: DagsterFacility, instrument: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    run = facility.new_run(instrument, n_periods=2)
    key = facility.announce(run)
    messages = make_messages(run, range(-5, 155), partitions=(0, 0, 1), seed=seed)
    topic = run.instrument.topics.events
    publish(facility.bootstrap_servers, topic, [], partitions=3)
    worker: RunWorker | None = None
    # All events are there before the run stops: what comes after its grace is rightly left out.
    parts = iter(np.array_split(np.arange(len(messages)), LIVES_BEFORE_STOP))
    for life in range(LIVES):
        worker = facility.work(instrument, key, retry_of=worker)
        part = [messages[i] for i in next(parts, ())]
        publish(facility.bootstrap_servers, topic, [(m.payload, m.partition) for m in part])
        epoch = life + 1
        wait_until(lambda epoch=epoch: read_head(facility.store, instrument, key).epoch == epoch, "the lease")
        if life == LIVES_BEFORE_STOP - 1:
            facility.publish_stop(run, run.start_ms + 140 * PULSE_MS)
        let_pass(rng.uniform(0.0, 1.2))
        worker.kill()
    assert worker is not None
    worker = facility.work(instrument, key, retry_of=worker)
    worker.succeed()
    result = facility.result(instrument, key)
    check_against(recount(run, messages, run.start_ms + 140 * PULSE_MS), result, facility.product(result))
    assert result.digest == facility.undisturbed(run, key)[0].digest


HALTS = {
    "a snapshot that is not begun": Halt("put", r"snapshots/.*\.npz", "before"),
    "a snapshot half written": Halt("put", r"snapshots/.*\.npz", "inside"),
    "a second snapshot written and not named": Halt("put", r"snapshots/.*\.npz", "after", 2),
    "the head that names a snapshot": Halt("put", r"head\.json", "inside", 2),
    "the lease taken and not known": Halt("put", r"head\.json", "after", 1),
}
LATE_HALTS = {
    "the NeXus file half written": Halt("put", r"results/.*/run\.nxs", "inside"),
    "a picture of the product": Halt("put", r"results/.*\.png", "before", 2),
    "the result that no head names": Halt("put", r"results/.*/result\.json", "after"),
    "the check of the ledger": Halt("get", r"results/.*/run\.nxs", "before"),
    "the check of completeness": Halt("get", r"results/.*/result\.json", "before", 2),
}


@pytest.mark.timeout(200)
def test_kills_inside_each_put_and_check_change_nothing(facility: DagsterFacility, instrument: str) -> None:
    run = facility.new_run(instrument, n_periods=2)
    key = facility.announce(run)
    messages = make_messages(run, range(-5, 155), partitions=(0, 0, 1))
    topic = run.instrument.topics.events
    parts = iter(np.array_split(np.arange(len(messages)), len(HALTS)))
    publish(facility.bootstrap_servers, topic, [], partitions=3)
    worker: RunWorker | None = None
    for halt in (HALTS | LATE_HALTS).values():
        if halt in HALTS.values():
            part = [messages[i] for i in next(parts)]
            publish(facility.bootstrap_servers, topic, [(m.payload, m.partition) for m in part])
        elif halt is next(iter(LATE_HALTS.values())):
            facility.publish_stop(run, run.start_ms + 140 * PULSE_MS)
        worker = facility.work(instrument, key, retry_of=worker, halt=halt)
        worker.wait_until_halted()
        worker.kill()
    assert worker is not None
    worker = facility.work(instrument, key, retry_of=worker)
    worker.succeed()
    result = facility.result(instrument, key)
    check_against(recount(run, messages, run.start_ms + 140 * PULSE_MS), result, facility.product(result))
    assert result.digest == facility.undisturbed(run, key)[0].digest
    assert facility.checks(worker.order.run_id) == {"ledger_adds_up": True, "complete": True}
    left = facility.store.list(f"live/{instrument}/{key}/snapshots/")
    assert left == [], "a finished run leaves no snapshots"
