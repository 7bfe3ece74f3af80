"""Messages through real operator processes: all arrive, in order, unchanged, and nobody hoards them."""

from __future__ import annotations

import re
import time
from uuid import UUID

from operator_kit import Process, SmallSession, put, take, take_texts

ECHO = """
@operator
def echo(inputs, parameters):
    return inputs
"""
NUMBERS = """
sent = 0

@operator
def numbers(inputs, parameters):
    global sent
    if sent == parameters["count"]:
        raise EndOfStream
    sent += 1
    return BytesMessage(MessageHeader(meta={"number": sent - 1}), bytes(parameters["size"]))
"""
SLOW = """
@operator
def slow(inputs, parameters):
    time.sleep(parameters["pause_s"])
    note(inputs.header.meta["number"])
"""


def peak_mb(process: Process) -> float:
    with open(f"/proc/{process.popen.pid}/status") as file:  # noqa: PTH123
        found = re.search(r"VmHWM:\s+(\d+) kB", file.read())
    assert found is not None
    return int(found[1]) / 1024


def test_a_source_waits_for_a_slow_sink_and_all_arrive_in_order(session: SmallSession) -> None:
    source = session.start(
        "source", NUMBERS, outputs={"out": ["a"]}, parameters={"count": 200, "size": 1 << 20}, queue=3
    )
    sink = session.start("sink", SLOW, inputs={"in": ["a"]}, parameters={"pause_s": 0.01}, queue=3)
    session.send(source, "start")

    session.wait_for(source, "status", state="waiting to send")
    session.wait_for(source, "finished")
    assert peak_mb(source) < 100
    session.wait_until(lambda: sink.counters.finished == 200, "all messages in the sink", sink)
    assert sink.notes == [str(number) for number in range(200)]
    assert peak_mb(sink) < 100
    assert source.counters.sent[0] == source.counters.emitted == sink.counters.received == 200
    assert source.counters.sent_bytes[0] == sink.counters.received_bytes == 200 << 20


def test_each_operator_behind_gets_all_and_its_replicas_share(session: SmallSession) -> None:
    source = session.start(
        "source", NUMBERS, outputs={"out": ["a", "b"]}, parameters={"count": 100, "size": 1}, queue=5
    )
    alone, first, second = session.taker("a"), session.taker("b", 5), session.taker("b", 5)
    session.send(source, "start")

    numbers: dict[object, list[int]] = {alone: [], first: [], second: []}

    def all_came() -> bool:
        for taker, found in numbers.items():
            while taker.poll(0):  # type: ignore[attr-defined]
                found.append(take(taker).header.meta["number"])  # type: ignore[arg-type, index]
        return sum(map(len, numbers.values())) == 200

    session.wait_until(all_came, "200 messages", source)
    assert numbers[alone] == list(range(100))
    assert sorted(numbers[first] + numbers[second]) == list(range(100))
    assert numbers[first]
    assert numbers[second]
    assert source.counters.sent[:3] == (100, 100, 0)


def test_a_sink_that_comes_late_gets_all(session: SmallSession) -> None:
    source = session.start("source", NUMBERS, outputs={"out": ["a"]}, parameters={"count": 20, "size": 1}, queue=2)
    session.send(source, "start")
    session.wait_for(source, "status", state="waiting to send")
    taker = session.taker("a")
    assert [take(taker).header.meta["number"] for _ in range(20)] == list(range(20))  # type: ignore[index]


def test_all_inputs_have_their_turns_and_name_themselves(session: SmallSession) -> None:
    code = """
    @operator
    def both(inputs, parameters):
        return message(f"{inputs.port} {bytes(inputs.data).decode()}")
    """
    left, right = session.feeder("l"), session.feeder("r")
    session.start("both", code, inputs={"left": ["l"], "right": ["r"]}, outputs={"out": ["o"]})
    put(left, *range(50))
    put(right, *range(50))
    texts = take_texts(session.taker("o"), 100)
    assert [text for text in texts if text.startswith("left")] == [f"left {number}" for number in range(50)]
    assert [text for text in texts if text.startswith("right")] == [f"right {number}" for number in range(50)]
    assert {text.split()[0] for text in texts[:10]} == {"left", "right"}


def test_messages_for_certain_ports_go_there_and_lists_go_to_all(session: SmallSession) -> None:
    code = """
    @operator
    def sort(inputs, parameters):
        number = int(bytes(inputs.data))
        if number == 0:
            return [message("all 1"), message("all 2")]
        return {"odd" if number % 2 else "even": message(number)}
    """
    feeder = session.feeder("i")
    session.start("sort", code, inputs={"in": ["i"]}, outputs={"odd": ["o"], "even": ["e"]})
    odd, even = session.taker("o"), session.taker("e")
    put(feeder, 1, 2, 0, 3)
    assert take_texts(odd, 4) == ["1", "all 1", "all 2", "3"]
    assert take_texts(even, 3) == ["2", "all 1", "all 2"]


def test_data_that_their_author_changes_afterwards_arrive_as_they_were(session: SmallSession) -> None:
    code = """
    buffer = bytearray(1 << 20)

    @operator
    def reuse(inputs, parameters):
        buffer[:] = bytes(inputs.data) * len(buffer)
        return BytesMessage(MessageHeader(), buffer)
    """
    feeder = session.feeder("i")
    session.start("reuse", code, inputs={"in": ["i"]}, outputs={"out": ["o"]})
    put(feeder, *"abcdefgh")
    taker = session.taker("o")
    assert [set(bytes(take(taker).data)) for _ in range(8)] == [{ord(letter)} for letter in "abcdefgh"]


def test_large_data_that_are_passed_on_arrive_unchanged(session: SmallSession) -> None:
    feeder = session.feeder("i")
    session.start("one", ECHO, inputs={"in": ["i"]}, outputs={"out": ["m"]})
    session.start("two", ECHO, inputs={"in": ["m"]}, outputs={"out": ["o"]})
    texts = [letter * 300_000 for letter in "abcdef"]
    put(feeder, *texts)
    assert take_texts(session.taker("o"), 6) == texts


def test_an_async_operator_keeps_its_event_loop(session: SmallSession) -> None:
    code = """
    import asyncio
    loops = set()

    @operator
    async def wait(inputs, parameters):
        await asyncio.sleep(0)
        loops.add(asyncio.get_running_loop())
        return message(len(loops))
    """
    feeder = session.feeder("i")
    session.start("wait", code, inputs={"in": ["i"]}, outputs={"out": ["o"]})
    put(feeder, *range(3))
    assert take_texts(session.taker("o"), 3) == ["1", "1", "1"]


def test_times_of_a_message_are_told_where_its_way_ends(session: SmallSession) -> None:
    code = NUMBERS.replace("sent += 1", "sent += 1\n    time.sleep(0.01)")
    source = session.start("source", code, outputs={"out": ["a"]}, parameters={"count": 130, "size": 1})
    session.start("work", ECHO, inputs={"in": ["a"]}, outputs={"out": ["b"]})
    sink = session.start("sink", SLOW, inputs={"in": ["b"]}, parameters={"pause_s": 0.0})
    session.send(source, "start")
    session.wait_until(lambda: sink.counters.finished == 130, "all messages in the sink", sink)
    session.wait_for(sink, "tracking", count=2)
    seconds = (source.counters.kernel_ns - 1) // 10**9 + 1
    lists = sink.all_said("tracking")
    assert 2 <= len(lists) <= seconds + 1
    for said in lists:
        entries = said.content["entries"]
        assert [entry["id"] for entry in entries] == ["source"] * 2 + ["work"] * 3 + ["sink"] * 2
        times = [value for entry in entries for name, value in entry.items() if name != "id"]
        assert times == sorted(times)
        assert abs(times[0] - time.time()) < 60


def test_tracking_on_the_wire_has_ids_and_readable_times_and_most_messages_have_none(session: SmallSession) -> None:
    source = session.start("source", NUMBERS, outputs={"out": ["a"]}, parameters={"count": 50, "size": 1})
    taker = session.taker("a")
    session.send(source, "start")
    lists = [take(taker).header.tracking for _ in range(50)]
    first = lists[0]
    assert first is not None
    assert sum(entries is not None for entries in lists) <= 3
    assert [str(UUID(entry["id"])) for entry in first] == [entry["id"] for entry in first]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00", first[1]["time_before_send"])
