from __future__ import annotations

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.errors import Refusal
from gateway.nonces import NonceBook, parse_nonce
from runstart.storage import FileStore, ObjectStore

SIGNER = "0x" + "a" * 40
SERIAL = itertools.count(1)
NONCES = st.from_regex(r"[0-9]{1,19}(\.[0-9]{1,9})?", fullmatch=True)


def takes(book: NonceBook, nonce: str, signer: str = SIGNER) -> bool:
    try:
        book.take(signer, nonce)
    except Refusal:
        return False
    return True


@given(nonces=st.lists(NONCES, max_size=12))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
def test_a_nonce_is_taken_only_if_it_is_above_all_before(tmp_path: Path, nonces: list[str]) -> None:
    book, signer, highest = NonceBook(FileStore(tmp_path)), f"0x{next(SERIAL):040x}", Decimal(-1)
    for nonce in nonces:
        assert takes(book, nonce, signer) == (Decimal(nonce) > highest)
        highest = max(highest, Decimal(nonce))


def test_neighbours_of_19_digits_are_told_apart(store: ObjectStore) -> None:
    book = NonceBook(store)
    taken = [takes(book, nonce) for nonce in ("9999999999999999997", "9999999999999999998", "9999999999999999997")]
    assert taken == [True, True, False]


def test_signers_have_nonces_of_their_own_in_either_case_of_letters(store: ObjectStore) -> None:
    book = NonceBook(store)
    assert takes(book, "5")
    assert takes(book, "5", "0x" + "b" * 40)
    assert not takes(book, "5", SIGNER.upper().replace("0X", "0x"))


def test_of_many_who_take_one_nonce_at_once_one_has_it(store: ObjectStore) -> None:
    count = 8
    together = threading.Barrier(count)

    def take(nonce: str) -> bool:
        together.wait()
        return takes(NonceBook(store), nonce)

    with ThreadPoolExecutor(count) as threads:
        for nonce in ("1", "2", "3"):
            assert sum(threads.map(take, [nonce] * count)) == 1


def test_of_different_nonces_at_once_the_highest_is_always_taken(store: ObjectStore) -> None:
    count = 8
    together = threading.Barrier(count)

    def take(nonce: int) -> bool:
        together.wait()
        return takes(NonceBook(store), str(nonce))

    with ThreadPoolExecutor(count) as threads:
        assert list(threads.map(take, range(count)))[-1]
    assert not takes(NonceBook(store), str(count - 1))


@pytest.mark.parametrize(
    "value", ["", "-1", "+1", "1.", ".1", "1e3", "٣", "1 ", None, True, [1], {}, 1e300, -1, "1" * 20]
)
def test_what_is_no_nonce_is_refused(value: object) -> None:
    with pytest.raises(Refusal, match="must be a number"):
        parse_nonce(value)


@pytest.mark.parametrize(
    ("value", "text"), [(5, "5"), (1.5, "1.5"), ("007", "007"), ("1.000000001", "1.000000001")]
)
def test_nonces_are_signed_as_they_are_written(value: object, text: str) -> None:
    assert parse_nonce(value) == text
