from __future__ import annotations

from pathlib import Path

import pytest
from session_kit import House, going, line
from waiting import wait_until

from runstart.host import Demand, Reservations, measure_host
from runstart.sessions import SessionFailed, new_session_id, read_record

ENDLESS = 1_000_000


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def wait_for_number(house: House, least: int, name: str = "sink") -> None:
    wait_until(lambda: any(number >= least for number in house.numbers(name)), f"a number from {least}", timeout=30)


def test_stop_ends_the_source_and_everything_on_its_way_arrives(house: House) -> None:
    with going(house, line(house.source(ENDLESS), house.work(), house.sink())) as session:
        wait_for_number(house, 10)
        assert session.say("stop") == ("ok", "The session ends.")
        outcome = session.end()

    assert outcome.state == "stopped"
    assert outcome.lost == 0
    assert house.numbers() == list(range(outcome.operators["source"].emitted))
    assert read_record(house.store, house.session_id).state == "stopped"


def test_stop_at_once_counts_what_was_on_its_way(house: House) -> None:
    with going(house, line(house.source(ENDLESS), house.sink(pause_ms=20))) as session:
        wait_for_number(house, 3)
        session.say("stop", now=True)
        outcome = session.end()

    assert outcome.state == "stopped"
    assert outcome.lost > 0
    # The last one was made, but it may not have been sent any more.
    made = outcome.operators["source"].emitted
    assert len(house.numbers()) + outcome.lost in {made - 1, made}


def test_session_that_keeps_running_ends_only_when_it_is_told(house: House) -> None:
    with going(house, line(house.source(20), house.sink()), keep_running=True) as session:
        wait_for_number(house, 19)
        wait_until(lambda: len(house.reporter.statuses) >= 4, "some seconds", timeout=20)
        assert house.reporter.statuses[-1].state == "running"
        session.say("stop")
        assert session.end().lost == 0


def test_parameters_change_while_it_runs_and_wrong_ones_are_refused(house: House) -> None:
    with going(house, line(house.source(ENDLESS, pause_ms=2), house.work(replicas=2), house.sink())) as session:
        wait_for_number(house, 3)
        assert session.say("set", operator="work", values={"add": "1000000"}) == ("ok", "work: add = 1000000.")
        wait_for_number(house, 1_000_000)
        status, message = session.say("set", operator="work", values={"add": "many"})
        assert status == "error"
        assert "add" in message
        for wrong in (
            {"operator": "work", "values": {"ad": 1}},
            {"operator": "work"},
            {"operator": "no", "values": {}},
        ):
            assert session.say("set", **wrong)[0] == "error"
        session.say("stop")
        session.end()


def test_new_mount_restarts_its_operator_and_a_missing_one_leaves_the_old(house: House, tmp_path: Path) -> None:
    code = """
    offset = int((DATA_DIRECTORY / "input_file").read_text())

    @operator
    def work(inputs, parameters):
        return message(int(bytes(inputs.data)) + offset)
    """
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_text("0")
    second.write_text("5000000")
    work = house.work(code=code, input_file=str(first))
    house.change(queue=2)
    with going(house, line(house.source(ENDLESS, pause_ms=2), work, house.sink())) as session:
        wait_for_number(house, 3)
        status, message = session.say("set", operator="work", values={"input_file": str(tmp_path / "none")})
        assert status == "error"
        assert "does not exist" in message
        assert max(house.numbers()) < 5_000_000
        status, message = session.say("set", operator="work", values={"input_file": str(second)})
        assert (status, "restarted with the new mount" in message) == ("ok", True)
        wait_for_number(house, 5_000_000)
        session.say("stop")
        try:
            outcome = session.end()
        except SessionFailed as failed:
            outcome = failed.outcome

    assert outcome.operators["work"].restarts == 1
    assert len(house.numbers()) + outcome.lost == outcome.operators["source"].emitted


def test_restart_renews_all_replicas_of_an_operator(house: House) -> None:
    work = house.work(replicas=2)
    with going(house, line(house.source(ENDLESS, pause_ms=2), work, house.sink())) as session:
        wait_for_number(house, 3)
        assert session.say("restart", operator="work") == ("ok", "work is restarted: 2 of 2 replicas.")
        wait_until(lambda: house.reporter.text.count("is ready again") == 2, "both replicas", timeout=30)
        before = max(house.numbers())
        wait_for_number(house, before + 50)
        session.say("stop")
        try:
            outcome = session.end()
        except SessionFailed as failed:
            outcome = failed.outcome

    assert outcome.operators["work"].restarts == 2
    assert len(house.numbers()) + outcome.lost == outcome.operators["source"].emitted
    assert "has died" not in house.reporter.text


def test_trigger_is_answered_when_it_is_done_and_its_error_is_the_answer(house: House) -> None:
    code = """
    @operator
    def reader(inputs, parameters, trigger=None):
        if trigger == "fail":
            raise ValueError("no such scan")
        return message(7)
    """
    reader = house.stage("reader", code, outputs=["out"], triggers=["read", "fail"])
    with going(house, line(reader, house.sink())) as session:
        wait_until(
            lambda: "running" in [status.state for status in house.reporter.statuses], "the start", timeout=30
        )
        assert session.say("trigger", operator="reader", trigger="read")[0] == "ok"
        wait_for_number(house, 7)
        status, message = session.say("trigger", operator="reader", trigger="fail")
        assert (status, "no such scan" in message) == ("error", True)
        assert "no trigger 'write'" in session.say("trigger", operator="reader", trigger="write")[1]
        assert "no command 'dance'" in session.say("dance")[1]
        session.say("stop")
        assert session.end().lost == 0

    assert house.numbers() == [7]


def test_session_that_does_not_fit_is_queued_with_the_reason_and_can_be_stopped(house: House) -> None:
    host = measure_host(house.folder)
    other = new_session_id()
    all_of_it = Demand(memory_bytes=host.memory_available_bytes - (8 << 20))
    house.change(reserved_memory_bytes=host.memory_bytes // 3)
    held = Reservations(house.folder / "reservations").reserve(other, all_of_it, host)
    assert not isinstance(held, str)
    with held, going(house, line(house.source(5), house.sink())) as session:
        wait_until(lambda: any(status.state == "queued" for status in house.reporter.statuses), "the queue")
        assert other in read_record(house.store, house.session_id).reason
        assert session.say("restart", operator="sink")[0] == "error"
        assert session.say("stop")[0] == "ok"
        held.release()
        assert session.end().operators == {}

    assert read_record(house.store, house.session_id).state == "stopped"
