"""What a session tells an operator: start, parameters, triggers, finish and stop."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest
from operator_kit import SmallSession, put, take_texts

TRIGGERED = """
left = list(range(5))

@operator
def reader(inputs, parameters, trigger=None):
    if inputs is not None:
        return inputs
    if trigger == "one":
        return message(parameters["one"])
    if trigger == "all":
        return message(left.pop(0)) if left else None
    if trigger == "endless":
        return message("more")
    raise ValueError("no such scan")
"""
TRIGGERS = {"one": "single", "all": "drain", "bad": "single", "endless": "drain"}
HOLDS = """
total = 0

@dependencies
def first():
    yield
    note("first torn down")

@dependencies
def second():
    yield
    note("second torn down")

@operator(keeps_state=True)
def add(inputs, parameters):
    global total
    note("begun")
    time.sleep(parameters.get("pause_s", 0))
    total += int(bytes(inputs.data))
    note("added")

@on_finish
def emit(parameters):
    for number in range(parameters.get("times", 1)):
        yield message(total + number)
"""


def test_a_source_begins_when_it_is_told_and_finishes_by_itself(session: SmallSession) -> None:
    code = """
    numbers = list(range(10))

    @operator
    def source(inputs, parameters):
        if not numbers:
            raise EndOfStream
        return message(numbers.pop(0))
    """
    source = session.start("source", code, outputs={"out": ["a"]})
    taker = session.taker("a")
    assert source.all_said("ready")[0].content["keeps_state"] is False
    session.wait_for(source, "status", count=2, state="idle")
    assert source.counters.emitted == 0
    session.send(source, "start")
    assert take_texts(taker, 10) == [str(number) for number in range(10)]
    session.wait_for(source, "finished")
    assert source.popen.poll() is None
    assert session.stop(source) == 0
    assert len(source.all_said("finished")) == 1


def test_a_source_without_an_end_finishes_when_it_is_told(session: SmallSession) -> None:
    code = """
    @operator
    def source(inputs, parameters):
        return message("more")

    @on_finish
    def last(parameters):
        return message("last")
    """
    source = session.start("source", code, outputs={"out": ["a"]})
    taker = session.taker("a")
    session.send(source, "start")
    take_texts(taker, 10)
    session.send(source, "finish")
    texts = take_texts(taker, 1)
    while texts[-1] != "last":
        texts += take_texts(taker, 1)
    session.wait_for(source, "finished")
    assert source.counters.emitted == source.counters.sent[0] == len(texts) + 10


def test_what_is_held_is_emitted_once_after_all_that_has_come(session: SmallSession) -> None:
    feeder = session.feeder("i")
    process = session.start("add", HOLDS, inputs={"in": ["i"]}, outputs={"out": ["o"]}, parameters={"times": 3})
    assert process.all_said("ready")[0].content["keeps_state"] is True
    put(feeder, *range(10))
    session.wait_until(lambda: process.counters.received == 10, "all messages", process)
    session.send(process, "finish")
    session.send(process, "finish")
    assert take_texts(session.taker("o"), 3) == ["45", "46", "47"]
    session.wait_for(process, "finished")
    assert session.stop(process) == 0
    assert len(process.all_said("finished")) == 1
    assert process.counters.emitted == 3


@pytest.mark.parametrize("told", ["stop", "SIGTERM", "SIGINT"])
def test_an_operator_that_is_stopped_ends_its_message_and_tears_down_in_reverse_order(
    session: SmallSession, told: str
) -> None:
    feeder = session.feeder("i")
    process = session.start("add", HOLDS, inputs={"in": ["i"]}, parameters={"pause_s": 0.3})
    put(feeder, 1, 2, 3)
    session.wait_until(lambda: process.notes, "the first message", process)
    if told == "stop":
        session.send(process, "stop")
    else:
        process.popen.send_signal(signal.Signals[told])
    assert session.ended(process) == 0
    assert process.notes == ["begun", "added", "second torn down", "first torn down"]
    assert process.counters.received == process.counters.finished == 1


def test_an_operator_that_waits_for_room_can_be_stopped(session: SmallSession) -> None:
    code = "@operator\ndef source(inputs, parameters):\n    return message(1)"
    source = session.start("source", code, outputs={"out": ["a"]}, queue=2)
    session.send(source, "start")
    session.wait_for(source, "status", state="waiting to send")
    before = source.counters
    assert session.stop(source) == 0
    assert (source.counters.emitted, source.counters.finished, source.counters.failed) == (
        before.emitted,
        before.finished,
        0,
    )


def test_a_parameter_that_is_changed_is_seen_by_the_next_message(session: SmallSession) -> None:
    code = """
    kept = []

    @operator
    def tell(inputs, parameters):
        kept.append(parameters)
        if inputs.data == b"slow":
            note("begun")
            time.sleep(0.3)
        return message(f"{parameters['a']} {parameters['b']} {kept[0]['a']}")
    """
    feeder = session.feeder("i")
    process = session.start("tell", code, inputs={"in": ["i"]}, outputs={"out": ["o"]}, parameters={"a": 1, "b": 2})
    put(feeder, "slow", "next")
    session.wait_until(lambda: process.notes, "the first message", process)
    session.send(process, "parameters", values={"a": 7})
    assert take_texts(session.taker("o"), 2) == ["1 2 1", "7 2 1"]


def test_triggers_wait_for_the_start_and_are_answered(session: SmallSession) -> None:
    process = session.start("reader", TRIGGERED, outputs={"out": ["o"]}, parameters={"one": 100}, triggers=TRIGGERS)
    for number, name in enumerate(["one", "all", "bad", "none"]):
        session.send(process, "trigger", id=str(number), name=name)
    assert (
        session.wait_for(process, "trigger_done", id="3")
        .content["message"]
        .startswith("There is no trigger 'none'")
    )
    session.wait_for(process, "status", count=2)
    assert process.counters.emitted == 0
    session.send(process, "start")
    assert take_texts(session.taker("o"), 6) == ["100", "0", "1", "2", "3", "4"]
    answers = [session.wait_for(process, "trigger_done", id=str(number)).content for number in range(4)]
    assert [answer["status"] for answer in answers] == ["ok", "ok", "error", "error"]
    assert [answer["message"] for answer in answers[:3]] == ["1 messages", "5 messages", "ValueError: no such scan"]
    assert (process.counters.finished, process.counters.failed) == (7, 1)


def test_failing_triggers_do_not_end_an_operator(session: SmallSession) -> None:
    process = session.start("reader", TRIGGERED, triggers=TRIGGERS)
    session.send(process, "start")
    for number in range(12):
        session.send(process, "trigger", id=str(number), name="bad")
    session.wait_for(process, "trigger_done", count=12, status="error")
    assert session.stop(process) == 0


def test_messages_have_their_turns_while_a_trigger_drains_until_the_end(session: SmallSession) -> None:
    feeder, taker = session.feeder("i"), session.taker("o")
    process = session.start(
        "reader",
        TRIGGERED,
        inputs={"in": ["i"]},
        outputs={"out": ["o"]},
        triggers=TRIGGERS,
        queue=10,
        parameters={"one": "the one"},
    )
    texts: list[str] = []

    def take_until(condition: Callable[[], object]) -> None:
        def goes_on() -> object:
            while taker.poll(0):
                texts.extend(take_texts(taker, 1))
            return condition()

        session.wait_until(goes_on, "the drain to go on", process)

    session.send(process, "start")
    session.send(process, "trigger", id="1", name="endless")
    take_until(lambda: len(texts) > 10)
    put(feeder, "a message")
    take_until(lambda: "a message" in texts and process.counters.finished == 1)
    assert process.counters.received == 1  # calls for triggers are no messages
    assert process.all_said("trigger_done") == []
    session.send(process, "trigger", id="2", name="one")
    session.send(process, "finish")
    take_until(lambda: process.all_said("finished"))
    kinds = [said.kind for said in process.said if said.kind != "status"]
    assert kinds == ["ready", "trigger_done", "trigger_done", "finished"]
    assert [said.content["status"] for said in process.all_said("trigger_done")] == ["error", "ok"]
    assert "told to finish" in process.all_said("trigger_done")[0].content["message"]
    take_until(lambda: texts[-1] == "the one")


def test_an_operator_whose_function_takes_no_trigger_says_so(session: SmallSession) -> None:
    process = session.start("work", "@operator\ndef work(inputs, parameters): ...", triggers={"one": "single"})
    session.send(process, "trigger", id="1", name="one")
    assert "does not take" in session.wait_for(process, "trigger_done", status="error").content["message"]


def test_outputs_that_are_shown_come_with_what_they_are(session: SmallSession) -> None:
    code = """
    @operator
    def show(inputs, parameters):
        publish("image/png", bytes(inputs.data), name="a picture", keep=True)
    """
    feeder = session.feeder("i")
    process = session.start("show", code, inputs={"in": ["i"]})
    put(feeder, *range(20))
    session.wait_for(process, "publish", count=20)
    assert [said.blobs for said in process.all_said("publish")] == [[str(number).encode()] for number in range(20)]
    content = process.all_said("publish")[0].content
    assert content == {"kind": "publish", "media_type": "image/png", "name": "a picture", "keep": True}
