from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from hypothesis import given
from hypothesis import strategies as st
from waiting import wait_until

from runstart.operators.outbox import Outbox


def never() -> bool:
    return False


def taken(outbox: Outbox) -> list[bytes]:
    return [bytes(parts[0]) for parts in iter(outbox.take, None)]


@given(st.lists(st.binary(max_size=20), max_size=20))
def test_all_comes_out_in_order_while_there_is_room(texts: list[bytes]) -> None:
    outbox = Outbox()
    for text in texts:
        assert outbox.put([text], "a key", never)
    assert taken(outbox) == texts


def test_of_those_with_one_key_older_ones_make_room_and_others_stay() -> None:
    outbox = Outbox(most_bytes=10)
    for text in (b"old 1", b"old 2"):
        outbox.put([text], "picture", never)
    assert outbox.put([b"new"], "picture", never)
    assert taken(outbox) == [b"old 2", b"new"]
    outbox.put([b"letter"], None, never)
    outbox.put([b"old"], "picture", never)
    assert outbox.put([b"new!"], "picture", never)
    assert taken(outbox) == [b"letter", b"new!"]


def test_who_has_no_room_waits_for_it() -> None:
    outbox = Outbox(most_bytes=10)
    outbox.put([b"123456"], None, never)
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(outbox.put, [b"789012"], None, never)
        assert not waiting.done()
        assert outbox.take() == [b"123456"]
        assert waiting.result(10)
    assert outbox.take() == [b"789012"]


def test_waiting_ends_when_it_is_of_no_use() -> None:
    outbox = Outbox(most_bytes=10)
    outbox.put([b"123456"], None, never)
    assert not outbox.put([b"789012"], None, lambda: True)
    assert taken(outbox) == [b"123456"]


def test_one_that_is_larger_than_the_room_waits_alone() -> None:
    outbox = Outbox(most_bytes=10)
    assert outbox.put([bytes(100)], None, lambda: True)
    assert not outbox.put([b"1"], None, lambda: True)
    wait_until(outbox.take, "the large one")
    assert outbox.put([b"1"], None, lambda: True)
