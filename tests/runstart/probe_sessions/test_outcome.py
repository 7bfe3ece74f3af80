"""What programs say, and what it amounts to."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runstart.probe_sessions.order import ProbeOrder, environment_of, make_names
from runstart.probe_sessions.outcome import Report, arrived_of, losses, read_report
from runstart.probe_sessions.programs import Program

ALL: tuple[Program, ...] = ("probe", "streaming", "segmentation")


def reports(sent: int, received: int, forwarded: int, last: int) -> dict[Program, Report]:
    return {
        "probe": Report("done", counts={"sent": sent}),
        "streaming": Report("done", counts={"received": received, "forwarded": forwarded}),
        "segmentation": Report("done", counts={"received": last}),
    }


def test_the_last_line_of_a_program_counts_among_others() -> None:
    output = "\n".join(
        [
            "starting up",
            json.dumps({"program": "streaming", "state": "running", "received": 5, "forwarded": 4}),
            json.dumps({"program": "probe", "state": "done", "sent": 9}),
            json.dumps(
                {"program": "streaming", "state": "done", "received": -1, "forwarded": "many", "sent": True}
            ),
            '{"program": "streaming", "st',
        ]
    )
    assert read_report("streaming", output) == Report("done")
    assert read_report("probe", output) == Report("done", counts={"sent": 9})
    assert read_report("segmentation", output) == Report()


@given(output=st.text(max_size=200) | st.builds(json.dumps, st.dictionaries(st.text(max_size=8), st.integers())))
def test_whatever_a_program_prints_is_read(output: str) -> None:
    assert read_report("probe", output).state == ""


def test_where_messages_were_lost_is_told_for_each_hop() -> None:
    assert losses(100, ALL, reports(100, 100, 100, 100)) == []
    assert losses(100, ALL, reports(90, 80, 60, 30)) == [
        "10 were never sent by the probe.",
        "10 were lost on the way to streaming.",
        "20 were lost inside streaming.",
        "30 were lost on the way to segmentation.",
    ]


@given(
    counts=st.lists(st.integers(0, 1000), min_size=4, max_size=4).map(lambda counts: sorted(counts, reverse=True)),
    more=st.integers(0, 10),
)
def test_what_arrived_and_what_was_lost_is_all_there_was(counts: list[int], more: int) -> None:
    count = counts[0] + more
    lost = losses(count, ALL, reports(*counts))
    assert sum(int(text.split()[0]) for text in lost) + arrived_of(ALL, reports(*counts)) == count


def test_in_the_plain_form_streaming_is_the_last() -> None:
    plain = ProbeOrder(10).programs
    assert arrived_of(plain, reports(10, 10, 0, 0)) == 10
    assert losses(10, plain, reports(10, 10, 0, 0)) == []
    assert arrived_of(plain, {}) == 0
    assert losses(10, plain, {}) == ["10 were never sent by the probe."]


def test_names_and_ports_on_a_network_have_edgeechos_forms() -> None:
    names = make_names(has_network=True)
    hexadecimal = set("0123456789ABCDEF")
    for name, prefix in ((names.network, "network_"), (names.probe, "probe_"), (names.stream, "stream_")):
        assert name.startswith(prefix)
        assert len(name) == len(prefix) + 5
        assert set(name.removeprefix(prefix)) <= hexadecimal
    assert all(1111 <= port <= 6666 and set(str(port)) <= set("123456") for port in names.ports.values())
    assert [names.alias(program) for program in ALL] == [names.probe, names.stream, None]


def test_processes_share_this_machine_and_choose_their_ports() -> None:
    names = make_names(has_network=False)
    assert (names.network, names.probe, names.stream) == ("", "127.0.0.1", "127.0.0.1")
    assert set(names.ports.values()) == {0}
    assert [names.alias(program) for program in ALL] == [None] * 3


@pytest.mark.parametrize("plain_stream", [True, False])
def test_each_program_is_told_edgeechos_variables_and_no_others(*, plain_stream: bool) -> None:
    order, names = ProbeOrder(7, plain_stream), make_names(has_network=True)
    told = {program: environment_of(program, order, names, names.ports) for program in ALL}
    assert told["probe"].keys() == {"probe_ip", "probe_port", "count"}
    assert told["streaming"].keys() == {"probe_ip", "probe_port", "stream_ip", "stream_port", "plain_stream"}
    assert told["segmentation"] == {"stream_ip": names.stream, "stream_port": str(names.ports["streaming"])}
    assert (told["probe"]["count"], told["streaming"]["plain_stream"]) == ("7", str(plain_stream))
    assert told["streaming"]["probe_ip"] == names.probe
