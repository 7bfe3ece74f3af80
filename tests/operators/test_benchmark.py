"""benchmark-sender and -receiver send what they say, and measure it."""

from __future__ import annotations

import json

import pytest
from scan_messages import run_py

from runstart.errors import Alert
from runstart.frame_messages import Load, LoadMeter, load_messages, read_tables
from runstart.operators import BytesMessage, MessageHeader
from runstart.operators.testing import call

SENDER, RECEIVER = run_py("benchmark-sender"), run_py("benchmark-receiver")
SMALL = {"smallest_kb": 1, "largest_kb": 20, "gib_per_size": 20 / 2**20}


def test_sizes_grow_by_four_and_each_gets_its_amount() -> None:
    sizes = [len(message.data) for message in call(SENDER, [], SMALL)]
    assert [(size, sizes.count(size)) for size in sorted(set(sizes))] == [(1024, 20), (4096, 5), (16384, 1)]


def test_two_operators_do_not_share_an_id() -> None:
    ids = {json.loads((path.parent / "operator.json").read_text())["id"] for path in (SENDER, RECEIVER)}
    assert len(ids) == 2


def test_the_table_has_all_messages_of_each_size() -> None:
    tables = call(RECEIVER, call(SENDER, [], SMALL))
    assert len(tables) == 3
    (rows,) = read_tables(bytes(tables[-1].data)).values()
    assert [(row["bytes"], row["messages"], row["missing"]) for row in rows] == [
        (1024, 20, 0),
        (4096, 5, 0),
        (16384, 1, 0),
    ]


def test_rates_are_those_of_the_clock() -> None:
    now = 0

    def clock() -> int:
        nonlocal now
        now += 1_000_000
        return now

    meter = LoadMeter(clock)
    tables = [table for message in load_messages(Load(1000, 1000, 4000), clock) if (table := meter.take(message))]
    (row,) = read_tables(bytes(tables[0].data))["throughput"]
    assert row == {
        "bytes": 1000,
        "messages": 4,
        "missing": 0,
        "MB/s": 0.571,
        "messages/s": 571.4,
        "latency ms": 1.0,
    }


def test_messages_that_did_not_come_are_told_at_the_end() -> None:
    sent = call(SENDER, [], SMALL)
    (table,) = call(RECEIVER, sent[:3])
    assert read_tables(bytes(table.data))["throughput"][0]["missing"] == 17


def test_what_is_not_the_senders_is_refused() -> None:
    with pytest.raises(Alert, match="not benchmark-sender's"):
        call(RECEIVER, [BytesMessage(MessageHeader(), b"1")])
    with pytest.raises(Alert, match="1024 bytes came with 3"):
        call(RECEIVER, [BytesMessage(call(SENDER, [], SMALL)[0].header, b"123")])
    with pytest.raises(Alert, match="smallest size is 8192 bytes"):
        call(SENDER, [], {"smallest_kb": 8, "largest_kb": 4})
