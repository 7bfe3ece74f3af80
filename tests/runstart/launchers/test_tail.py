from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runstart.launchers._tail import KEPT_OUTPUT, TailWriter, make_tail_file, read_tail


@pytest.fixture
def file() -> Iterator[int]:
    file = make_tail_file()
    yield file
    os.close(file)


@given(pieces=st.lists(st.binary(max_size=100).map(lambda piece: piece * 700), max_size=8))
def test_end_of_all_that_was_added_is_read(pieces: list[bytes]) -> None:
    file = make_tail_file()
    writer = TailWriter(file)
    for number, piece in enumerate(pieces):
        writer.add(piece)
        writer.write()

        assert read_tail(file) == b"".join(pieces[: number + 1])[-KEPT_OUTPUT:]
    os.close(file)


def test_nothing_is_read_before_anything_was_written(file: int) -> None:
    assert read_tail(file) == b""


@pytest.mark.parametrize("torn_from", [0, 3, 12, 16, 20])
def test_end_that_was_not_written_to_its_end_is_not_read(file: int, torn_from: int) -> None:
    writer = TailWriter(file)
    for text in (b"one ", b"two ", b"three "):
        writer.add(text)
        writer.write()
    place = 3 % 2 * (16 + KEPT_OUTPUT)
    os.pwrite(file, b"\x55" * (30 - torn_from), place + torn_from)

    assert read_tail(file) == b"one two "


def test_reader_sees_only_whole_ends_while_they_are_written(file: int) -> None:
    writer = TailWriter(file)
    seen: set[bytes] = set()

    def write() -> None:
        for number in range(3000):
            writer.add(bytes([number % 256]) * 30_000)
            writer.write()

    thread = threading.Thread(target=write)
    thread.start()
    while thread.is_alive():
        seen.add(read_tail(file))
    thread.join()

    for text in seen - {b""}:
        blocks = [text[max(0, end - 30_000) : end] for end in range(len(text), 0, -30_000)]
        assert all(len(set(block)) == 1 for block in blocks)
