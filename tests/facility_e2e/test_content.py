"""Whatever a topic holds besides the run's messages, the run is numpy's recount of the intact ones."""

from __future__ import annotations

import numpy as np
import pytest
from dagster_kit import DagsterFacility
from payloads import foreign_payloads, malformed_payloads, unread_event_payloads
from scripted_stream import PULSE_MS, check_against, make_messages, publish, recount

pytestmark = [pytest.mark.broker, pytest.mark.faults]

STOP = 100 * PULSE_MS


@pytest.mark.parametrize("schema", ["ev42", "ev44"])
def test_malformed_and_foreign_messages_cost_only_themselves(
    facility: DagsterFacility, instrument: str, schema: str
) -> None:
    run = facility.new_run(instrument)
    key = facility.announce(run)
    messages = make_messages(run, range(120), schema=schema)
    destroyed = {7, 30, 31, 99, 119}
    malformed = [payload for _, payload in (*malformed_payloads(), *unread_event_payloads())]
    foreign = [payload for _, payload in foreign_payloads()]
    sent: list[bytes] = []
    noise = [*malformed, *foreign]
    for number, message in enumerate(messages):
        sent.append(message.payload[: len(message.payload) // 2] if number in destroyed else message.payload)
        sent += noise[number :: len(messages)]
    publish(facility.bootstrap_servers, run.instrument.topics.events, [(payload, 0) for payload in sent])
    facility.publish_stop(run, run.start_ms + STOP)
    worker = facility.work(instrument, key)
    worker.succeed()
    intact = [message for number, message in enumerate(messages) if number not in destroyed]
    expected = recount(
        run, intact, run.start_ms + STOP, malformed=len(malformed) + len(destroyed), foreign=len(foreign)
    )
    result = facility.result(instrument, key)
    check_against(expected, result, facility.product(result))
    assert facility.checks(worker.order.run_id) == {"ledger_adds_up": True, "complete": False}
    assert len(result.shortcomings) == 2, "missing ids and malformed messages"


def test_duplicates_disorder_and_the_past_are_sorted_out(facility: DagsterFacility, instrument: str) -> None:
    run = facility.new_run(instrument)
    key = facility.announce(run)
    rng = np.random.default_rng(5)
    messages = make_messages(run, range(-40, 130), partitions=(0, 1))
    ancient = make_messages(run, range(-990, -980), source="replayed by mistake")
    again = [messages[i] for i in rng.integers(0, len(messages), 60)]
    everything = [*messages, *ancient, *again]
    rng.shuffle(everything)  # type: ignore[arg-type]
    # A duplicate lies in its original's partition or in another.
    sent = [(m.payload, int(rng.integers(0, 3))) for m in everything]
    publish(facility.bootstrap_servers, run.instrument.topics.events, sent, partitions=3)
    facility.publish_stop(run, run.start_ms + STOP)
    worker = facility.work(instrument, key)
    worker.succeed()
    result = facility.result(instrument, key)
    check_against(recount(run, everything, run.start_ms + STOP), result, facility.product(result))
    assert facility.checks(worker.order.run_id) == {"ledger_adds_up": True, "complete": True}


def test_a_run_without_events_is_legal(facility: DagsterFacility, instrument: str) -> None:
    run = facility.new_run(instrument)
    key = facility.announce(run)
    publish(facility.bootstrap_servers, run.instrument.topics.events, [], partitions=2)
    facility.publish_stop(run, run.start_ms + STOP)
    worker = facility.work(instrument, key)
    worker.succeed()
    result = facility.result(instrument, key)
    check_against(recount(run, [], run.start_ms + STOP), result, facility.product(result))
    assert facility.checks(worker.order.run_id) == {"ledger_adds_up": True, "complete": True}
