from __future__ import annotations

import json
from pathlib import Path

import pytest
from session_kit import House, line

from runstart.errors import Alert
from runstart.pipelines import Link, Plan
from runstart.sessions.outcome import SessionFailed
from runstart.sessions.records import read_record, read_status, session_key


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def test_every_number_goes_through_a_line_of_operators(house: House) -> None:
    outcome = house.run(line(house.source(500), house.work(add=1000), house.sink()))

    assert house.numbers() == list(range(1000, 1500))
    assert outcome.state == "finished"
    assert outcome.troubles() == []
    assert {name: totals.finished for name, totals in outcome.operators.items()}["work"] == 500
    assert outcome.operators["sink"].received == 500


def test_record_status_and_graph_tell_of_the_session_when_it_is_over(house: House) -> None:
    house.run(line(house.source(20), house.work(), house.sink()), run_id="a-run")

    record = read_record(house.store, house.session_id)
    status = read_status(house.store, house.session_id)
    assert (record.state, record.run_id, record.kind, record.name) == ("finished", "a-run", "pipeline", "a line")
    assert [(node.operator, node.status) for node in record.nodes] == [
        ("source", "exited"),
        ("work", "exited"),
        ("sink", "exited"),
    ]
    assert all(node.finished_at is not None for node in record.nodes)
    assert record.ended_at is not None
    assert status["state"] == "finished"
    assert [operator["received"] for operator in status["operators"]] == [0, 20, 20]
    assert [link["messages"] for link in status["links"]] == [20, 20]
    assert house.store.get(session_key(house.session_id, "graph.svg")).data.startswith(b"<svg")
    assert house.reporter.statuses[0].state == "starting"
    assert house.reporter.statuses[-1].state == "finished"


def test_output_is_copied_to_each_operator_behind_and_shared_by_its_replicas(house: House) -> None:
    source, work = house.source(300), house.work(replicas=3, pause_ms=1)
    sums, other = house.sink(), house.sink(name="other")
    links = (
        Link("source", "out", "work", "in"),
        Link("work", "out", "sink", "in"),
        Link("source", "out", "other", "in"),
    )

    outcome = house.run(Plan("copies", (source, work, sums, other), links))

    assert sorted(house.numbers()) == list(range(300))
    assert house.numbers("other") == list(range(300))
    shares = json.loads(house.store.get(session_key(house.session_id, "status.json")).data)["operators"][1]
    assert shares["replicas"] == 3
    assert outcome.operators["work"].finished == 300
    nodes = read_record(house.store, house.session_id).nodes
    assert sorted(node.replica for node in nodes if node.operator == "work") == [0, 1, 2]


def test_two_inputs_of_one_operator_get_their_own_messages(house: House) -> None:
    code = """
    @operator
    def sink(inputs, parameters):
        with (DATA_DIRECTORY / "output_dir" / inputs.port).open("ab") as file:
            file.write(bytes(inputs.data) + b"\\n")
    """
    one, work = house.source(50), house.work(add=100)
    both = house.stage("both", code, {"output_dir": str(house.out)}, inputs=["plain", "changed"])
    links = (
        Link("source", "out", "both", "plain"),
        Link("source", "out", "work", "in"),
        Link("work", "out", "both", "changed"),
    )

    house.run(Plan("two inputs", (one, work, both), links))

    assert house.numbers("plain") == list(range(50))
    assert house.numbers("changed") == list(range(100, 150))


def test_source_waits_for_a_slow_consumer_and_nothing_is_lost(house: House) -> None:
    queues: list[int] = []
    house.change(queue=5)
    house.reporter.on_status = lambda status: queues.extend(operator.queue for operator in status.operators)

    outcome = house.run(line(house.source(300, size=100_000), house.sink(pause_ms=7)))

    assert house.numbers() == list(range(300))
    assert outcome.seconds > 2.0
    assert 5 <= max(queues) < 30


def test_what_is_held_to_the_end_is_emitted_at_the_end(house: House) -> None:
    code = """
    total = 0

    @operator(keeps_state=True)
    def work(inputs, parameters):
        global total
        total += int(bytes(inputs.data))

    @on_finish
    def emit(parameters):
        return message(total)
    """

    house.run(line(house.source(100), house.work(code=code), house.sink()))

    assert house.numbers() == [sum(range(100))]


def test_message_that_breaks_an_operator_is_kept_with_its_error_and_the_rest_goes_on(house: House) -> None:
    outcome = house.run(line(house.source(30), house.work(at=7, does="raise"), house.sink()))

    assert house.numbers() == [number for number in range(30) if number != 7]
    assert outcome.dead_letters == 1
    assert outcome.state == "finished"
    key = session_key(house.session_id, "dead_letters", "work", "000000")
    assert "7 is poison" in json.loads(house.store.get(f"{key}.json").data)["error"]
    assert house.store.get(f"{key}.data").data == b"7"
    assert json.loads(house.store.get(f"{key}.header").data)["subject"] == "bytes"
    assert "7 is poison" in house.reporter.text


def test_published_outputs_are_stored_the_latest_and_those_that_are_kept(house: House) -> None:
    code = """
    @operator
    def show(inputs, parameters):
        number = int(bytes(inputs.data))
        publish("text/plain", str(number).encode(), f"number {number}", keep=number % 2 == 0)
    """

    house.run(line(house.source(5), house.stage("show", code, inputs=["in"])))

    prefix = session_key(house.session_id, "published", "show")
    assert house.store.get(f"{prefix}/latest").data == b"4"
    assert json.loads(house.store.get(f"{prefix}/latest.json").data)["media_type"] == "text/plain"
    kept = [key for key in house.store.list(f"{prefix}/") if not key.endswith(".json") and "latest" not in key]
    assert [house.store.get(key).data for key in kept] == [b"0", b"2", b"4"]
    assert [output.number for output in house.reporter.outputs] == [0, 1, 2, 3, 4]
    assert house.reporter.outputs[0].name == "number 0"


def test_hops_have_a_latency(house: House) -> None:
    outcome = house.run(line(house.source(30, pause_ms=50), house.work(pause_ms=20), house.sink()))

    assert 15 < outcome.latency_ms["work"] < 200
    assert 0 <= outcome.latency_ms["source -> work"] < 200
    assert 0 <= outcome.latency_ms["work -> sink"] < 200


def test_triggers_of_the_order_work_through_and_end_a_source_that_waits_for_them(house: House) -> None:
    code = """
    left = list(range(5))

    @operator
    def reader(inputs, parameters, trigger=None):
        if trigger == "one":
            return message(100)
        return message(left.pop(0)) if left else None
    """
    reader = house.stage("reader", code, outputs=["out"], triggers=["one", "all"])

    outcome = house.run(line(reader, house.sink()), triggers=(("reader", "one"), ("reader", "all")))

    assert house.numbers() == [100, 0, 1, 2, 3, 4]
    assert outcome.state == "finished"


def test_operator_with_inputs_does_not_finish_before_the_triggers_of_the_order_are_pulled(house: House) -> None:
    code = """
    @operator
    def work(inputs, parameters, trigger=None):
        return inputs if trigger is None else message({"one": 1000, "two": 2000}[trigger])
    """
    work = house.stage("work", code, inputs=["in"], outputs=["out"], triggers=["one", "two"])

    house.run(line(house.source(3), work, house.sink()), triggers=(("work", "one"), ("work", "two")))

    assert sorted(house.numbers()) == [0, 1, 2, 1000, 2000]


def test_trigger_that_fails_fails_the_session_with_its_error(house: House) -> None:
    code = """
    @operator
    def reader(inputs, parameters, trigger=None):
        raise ValueError("no such scan")
    """
    reader = house.stage("reader", code, outputs=["out"], triggers=["read"])

    with pytest.raises(SessionFailed, match="no such scan"):
        house.run(line(reader, house.sink()), triggers=(("reader", "read"),))


def test_mount_that_is_missing_is_told_before_anything_starts(house: House) -> None:
    with pytest.raises(Alert, match="input_file of source is '/no/such'"):
        house.run(line(house.source(1, input_file="/no/such"), house.sink()))


def test_operator_that_cannot_start_ends_the_session_with_what_it_printed(house: House) -> None:
    broken = house.work(code="raise RuntimeError('no such library')\n\n@operator\ndef work(i, p): ...")

    with pytest.raises(Alert, match=r"(?s)work.*no such library"):
        house.run(line(house.source(1), broken, house.sink()))
    record = read_record(house.store, house.session_id)
    assert record.state == "failed"
    assert "no such library" in record.reason


def test_operator_that_is_not_ready_in_time_is_named(house: House) -> None:
    house.change(ready_s=1.5)
    slow = house.work(code="print('loading', flush=True)\ntime.sleep(60)\n\n@operator\ndef work(i, p): ...")

    with pytest.raises(Alert, match=r"(?s)work.*not ready within 1.5 s.*loading"):
        house.run(line(house.source(1), slow, house.sink()))
