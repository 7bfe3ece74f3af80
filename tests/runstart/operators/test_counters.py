from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runstart.errors import Alert
from runstart.operators.counters import MOST_OUTPUTS, Counters, CounterValues, make_counters, read_told_counters


@given(
    received=st.lists(st.integers(0, 1 << 40), max_size=20),
    sent=st.lists(st.tuples(st.integers(0, MOST_OUTPUTS - 1), st.integers(0, 1 << 40)), max_size=20),
)
def test_everybody_reads_what_was_counted(
    tmp_path_factory: pytest.TempPathFactory, received: list[int], sent: list[tuple[int, int]]
) -> None:
    path = tmp_path_factory.mktemp("counters") / "counters"
    make_counters(path)
    counters = Counters.open(path)
    for size in received:
        counters.receive(size)
    for output, size in sent:
        counters.send(output, size)

    values = Counters.read(path)
    assert values == counters.values()
    assert (values.received, values.received_bytes) == (len(received), sum(received))
    assert values.sent == tuple(sum(output == one for one, _ in sent) for output in range(MOST_OUTPUTS))
    assert sum(values.sent_bytes) == sum(size for _, size in sent)


def test_each_counter_has_its_place(tmp_path: Path) -> None:
    make_counters(tmp_path / "counters")
    counters = Counters.open(tmp_path / "counters")
    counters.finish()
    for _ in range(2):
        counters.fail()
    for _ in range(3):
        counters.emit()
    counters.work(4)
    counters.set_busy(5)
    counters.send(0, 10)
    counters.send(0, 10)
    counters.take_back(0, 10)

    values = Counters.read(tmp_path / "counters")
    assert (values.finished, values.failed, values.emitted, values.kernel_ns, values.busy_since_ns) == (
        1,
        2,
        3,
        4,
        5,
    )
    assert (values.sent[0], values.sent_bytes[0]) == (1, 10)


def test_counters_go_on_where_they_were(tmp_path: Path) -> None:
    make_counters(tmp_path / "counters")
    for _ in range(2):
        Counters.open(tmp_path / "counters").finish()
    assert Counters.read(tmp_path / "counters").finished == 2


def test_without_a_file_is_counted_too(tmp_path: Path) -> None:
    counters = Counters.open(None)
    counters.finish()
    assert counters.values().finished == 1
    assert Counters.read(tmp_path / "none") == CounterValues()


def test_a_file_that_is_none_of_counters_is_told(tmp_path: Path) -> None:
    (tmp_path / "short").write_bytes(b"123")
    for look in (Counters.open, Counters.read):
        with pytest.raises(Alert, match="counters"):
            look(tmp_path / "short")
    with pytest.raises(Alert, match="cannot be used"):
        Counters.open(tmp_path / "none")


def test_links_and_pipes_in_place_of_counters_are_neither_followed_nor_waited_for(tmp_path: Path) -> None:
    victim, path = tmp_path / "victim", tmp_path / "counters"
    victim.write_bytes(bytes(440))
    victim.chmod(0o600)
    path.symlink_to(victim)
    with pytest.raises(Alert, match="no file of counters"):
        Counters.read(path)
    make_counters(path, open_to_all=True)
    assert path.stat().st_mode & 0o777 == 0o666
    assert (victim.stat().st_mode & 0o777, path.is_symlink()) == (0o600, False)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(Alert, match="0 bytes"):
        Counters.read(path)


def test_counts_that_are_told_are_those_that_were_counted() -> None:
    counters = Counters.open(None)
    counters.receive(5)
    counters.finish()
    counters.send(MOST_OUTPUTS - 1, 7)

    assert read_told_counters(json.loads(json.dumps(asdict(counters.values())))) == counters.values()


NUMBERS = [{"received": -1}, {"received": True}, {"received": 1.5}, {"finished": 1 << 63}]
LISTS = [{"sent": [-1, "x", None]}, {"sent": {}}, {"sent": [0] * 1000}]


@pytest.mark.parametrize("told", [None, [], "much", {}, *NUMBERS, *LISTS])
def test_garbage_that_is_told_as_counts_counts_as_nothing(told: object) -> None:
    assert read_told_counters(told) == CounterValues()
