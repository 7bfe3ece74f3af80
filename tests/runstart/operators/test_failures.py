"""What goes wrong in an operator: it is told, counted, and as far as possible survived."""

from __future__ import annotations

import json

import pytest
from operator_kit import SmallSession, put, take, take_texts
from waiting import let_pass

FRAGILE = """
@dependencies
def things():
    note("set up")
    yield
    note("torn down")

@operator
def fragile(inputs, parameters):
    text = bytes(inputs.data).decode()
    if text.startswith("poison"):
        raise ValueError(f"{text} is poison")
    return message(text)
"""


def test_a_message_that_breaks_an_operator_is_a_dead_letter_and_the_stream_goes_on(session: SmallSession) -> None:
    feeder = session.feeder("i")
    process = session.start("fragile", FRAGILE, inputs={"in": ["i"]}, outputs={"out": ["o"]})
    put(feeder, 1, "poison", 2)
    assert take_texts(session.taker("o"), 2) == ["1", "2"]

    letter = session.wait_for(process, "dead_letter")
    assert letter.content["error"] == "ValueError: poison is poison"
    assert "in fragile" in letter.content["traceback"]
    assert json.loads(letter.blobs[0])["subject"] == "bytes"
    assert letter.blobs[1:] == [b"poison"]
    session.wait_until(lambda: process.counters.finished == 2, "two messages that went well", process)
    assert (process.counters.received, process.counters.failed) == (3, 1)


def test_an_error_is_told_until_a_message_goes_well(session: SmallSession) -> None:
    feeder = session.feeder("i")
    process = session.start("fragile", FRAGILE, inputs={"in": ["i"]}, outputs={"out": ["o"]})
    put(feeder, "poison 1", "poison 2")
    said = session.wait_for(process, "status", state="error", in_a_row=2)
    assert said.content["error"] == "ValueError: poison 2 is poison"
    put(feeder, 1)
    take_texts(session.taker("o"), 1)
    count = len(process.all_said("status"))
    said = session.wait_for(process, "status", count=count + 2)
    assert (said.content["state"], said.content["error"], said.content["in_a_row"]) == ("idle", None, 0)


def test_ten_failures_in_a_row_end_an_operator_and_a_success_between_forgives(session: SmallSession) -> None:
    feeder = session.feeder("i")
    process = session.start("fragile", FRAGILE, inputs={"in": ["i"]}, outputs={"out": ["o"]})
    put(feeder, *[f"poison {number}" for number in range(9)], "good")
    put(feeder, *[f"poison {number}" for number in range(10)], "never")

    assert take_texts(session.taker("o"), 1) == ["good"]
    assert session.ended(process) == 70
    assert len(process.all_said("dead_letter")) == process.counters.failed == 19
    assert process.counters.finished == 1
    assert "poison 9 is poison" in process.all_said("failed")[0].content["error"]
    assert "poison 9 is poison" in process.printed().splitlines()[-1]
    assert process.notes == ["set up", "torn down"]


def test_what_was_sent_before_an_operator_fails_arrives_though_its_receiver_is_slow(session: SmallSession) -> None:
    code = """
    calls = 0

    @operator
    def source(inputs, parameters):
        global calls
        calls += 1
        if calls > 20:
            raise OSError("the detector does not answer")
        return message(calls)
    """
    source = session.start("source", code, outputs={"out": ["a"]})
    taker = session.taker("a", queue=1)
    session.send(source, "start")
    session.wait_for(source, "dead_letter", count=10)
    let_pass(0.5)  # it must not be gone before its messages were read
    assert take_texts(taker, 20) == [str(number) for number in range(1, 21)]
    assert session.ended(source) == 70
    assert [letter.blobs for letter in source.all_said("dead_letter")] == [[]] * 10


@pytest.mark.parametrize(
    ("parts", "error"),
    [
        ([b"only one"], "has 1"),
        ([b"{", b"data"], "no JSON"),
        ([b'{"subject": "shm"}', b"data"], "only 'bytes' is handled"),
        ([b"1", b"2", b"3", b"4"], "has 4"),
    ],
)
def test_what_is_no_message_is_a_dead_letter_and_not_the_operators_fault(
    session: SmallSession, parts: list[bytes], error: str
) -> None:
    feeder = session.feeder("i")
    process = session.start("fragile", FRAGILE, inputs={"in": ["i"]}, outputs={"out": ["o"]})
    for _ in range(12):
        feeder.send_multipart(parts)
    put(feeder, "good")
    assert take_texts(session.taker("o"), 1) == ["good"]
    letter = session.wait_for(process, "dead_letter", count=12)
    assert error in letter.content["error"]
    assert letter.blobs == [parts[0], b"".join(parts[1:])]
    session.wait_until(lambda: process.counters.finished == 1, "the good message", process)
    assert process.counters.failed == 12


@pytest.mark.parametrize(
    "result",
    [
        "b'bytes'",
        "{'nowhere': message(1)}",
        "{'out': message(1), 'nowhere': message(2)}",
        "message(1, it={2})",
        "BytesMessage(MessageHeader(), 7)",
    ],
)
def test_a_result_that_cannot_be_sent_is_a_dead_letter_and_nothing_is_sent(
    session: SmallSession, result: str
) -> None:
    code = f"""
    @operator
    def odd(inputs, parameters):
        return {result} if bytes(inputs.data) == b"odd" else inputs
    """
    feeder = session.feeder("i")
    process = session.start("odd", code, inputs={"in": ["i"]}, outputs={"out": ["o"]})
    put(feeder, "odd", "even")
    assert take_texts(session.taker("o"), 1) == ["even"]
    letter = session.wait_for(process, "dead_letter")
    assert letter.content["error"].startswith("TypeError: ")
    session.wait_until(lambda: process.counters.finished == 1, "the even message", process)
    assert (process.counters.failed, process.counters.emitted) == (1, 1)


@pytest.mark.faults
@pytest.mark.parametrize("after_s", [0.03, 0.2])
def test_a_killed_operator_leaves_counts_that_add_up(session: SmallSession, after_s: float) -> None:
    code = """
    @operator
    def work(inputs, parameters):
        time.sleep(0.001)
        note(bytes(inputs.data).decode())
        if bytes(inputs.data)[-1:] == b"7":
            raise ValueError
        return inputs
    """
    feeder = session.feeder("i", 10_000)
    process = session.start("work", code, inputs={"in": ["i"]}, outputs={"out": ["o"]})
    session.taker("o", 10_000)
    put(feeder, *range(5000))
    session.wait_until(lambda: process.counters.finished > 5, "some messages", process)
    let_pass(after_s)
    process.popen.kill()
    process.popen.wait()
    now = process.counters
    assert now.received < 5000
    assert 0 <= now.received - now.finished - now.failed <= 1
    assert now.finished + now.failed <= len(process.notes) <= now.finished + now.failed + 1
    assert now.finished <= now.sent[0] == now.emitted <= now.finished + 1


def test_an_operator_that_hangs_gives_signs_of_life_and_says_since_when(session: SmallSession) -> None:
    code = """
    @operator
    def hang(inputs, parameters):
        while True:
            pass
    """
    feeder = session.feeder("i")
    process = session.start("hang", code, inputs={"in": ["i"]})
    put(feeder, 1)
    first = session.wait_for(process, "status", state="busy").content["counters"]
    session.wait_until(lambda: len(process.all_said("status")) > 3, "signs of life", process)
    last = process.all_said("status")[-1].content["counters"]
    assert first["busy_since_ns"] == last["busy_since_ns"] == process.counters.busy_since_ns > 0
    assert (last["received"], last["finished"]) == (1, 0)


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("raise RuntimeError('no such library')", "no such library"),
        ("def f(): ...", "exactly one function under @operator; found: none"),
        ("@operator\ndef a(i, p): ...\n\n@operator\ndef b(i, p): ...", "found: a, b"),
        (
            "@dependencies\ndef d():\n    raise OSError('no detector')\n    yield\n\n@operator\ndef a(i, p): ...",
            "no detector",
        ),
    ],
)
def test_an_operator_that_cannot_be_set_up_says_why(session: SmallSession, code: str, told: str) -> None:
    process = session.start("broken", code, ready=False)
    assert session.ended(process) == 1
    assert told in process.all_said("failed")[0].content["error"]
    assert told in process.printed()
    assert process.all_said("ready") == []


def test_what_was_set_up_before_a_failure_is_torn_down(session: SmallSession) -> None:
    code = """
    @dependencies
    def first():
        yield
        note("torn down")

    @dependencies
    def second():
        raise OSError("no detector")
        yield

    @operator
    def work(inputs, parameters): ...
    """
    process = session.start("work", code, ready=False)
    assert session.ended(process) == 1
    assert process.notes == ["torn down"]


def test_what_is_held_and_cannot_be_emitted_ends_the_operator_with_its_error(session: SmallSession) -> None:
    code = """
    @operator
    def work(inputs, parameters): ...

    @on_finish
    def emit(parameters):
        raise OSError("disk full")
    """
    process = session.start("work", code, inputs={"in": ["i"]})
    session.send(process, "finish")
    assert session.ended(process) == 1
    assert "disk full" in process.all_said("failed")[0].content["error"]
    assert process.all_said("finished") == []


def test_a_host_name_that_does_not_resolve_is_told(session: SmallSession) -> None:
    code = "@operator\ndef work(inputs, parameters): ..."
    process = session.start(
        "work", code, ready=False, resolve_s=0.2, uris={"in": ["tcp://localhost:1", "tcp://no-such-host.invalid:1"]}
    )
    assert session.ended(process) == 71
    assert process.all_said("unresolved")[0].content["host"] == "no-such-host.invalid"
    assert "no-such-host.invalid" in process.printed()


def test_a_session_that_sends_garbage_is_not_obeyed_and_harms_nobody(session: SmallSession) -> None:
    feeder = session.feeder("i")
    process = session.start("fragile", FRAGILE, inputs={"in": ["i"]}, outputs={"out": ["o"]})
    for garbage in (b"", b"{", b"[]", b'{"kind": 3}', b'{"kind": "dance"}'):
        session.send_raw(process, garbage)
    put(feeder, 1)
    assert bytes(take(session.taker("o")).data) == b"1"
    session.wait_until(lambda: "not known: dance" in process.printed(), "the last command", process)
    assert process.printed().count("no command") == 4
    assert session.stop(process) == 0
