from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from gateway.access import AccessBook, check_reads
from gateway.errors import Refusal
from gateway.tokens import Caller, Scope
from runstart.storage import ObjectStore

RESULT = "operation/abc"


def caller(*reads: str) -> Caller:
    return Caller("maria", Scope.READ, reads)


def test_a_result_is_read_by_those_who_may_read_all_its_inputs(store: ObjectStore) -> None:
    book = AccessBook(store)
    book.note(RESULT, ["exposure/archive/a", "exposure/secret/b"])
    assert book.may_read(caller("exposure/*"), RESULT)
    assert not book.may_read(caller("exposure/archive/*"), RESULT)
    assert not book.may_read(caller("instrument/*"), RESULT)


def test_a_result_of_which_nothing_is_known_is_read_by_nobody(store: ObjectStore) -> None:
    assert not AccessBook(store).may_read(caller("*"), RESULT)


def test_equal_inputs_under_other_names_open_a_result_for_others(store: ObjectStore) -> None:
    book = AccessBook(store)
    book.note(RESULT, ["exposure/secret/a"])
    book.note(RESULT, ["exposure/archive/a"])
    book.note(RESULT, ["exposure/archive/a"])
    assert book.may_read(caller("exposure/archive/*"), RESULT)
    assert book.may_read(caller("exposure/secret/*"), RESULT)


def test_a_result_without_inputs_is_everybodys(store: ObjectStore) -> None:
    AccessBook(store).note(RESULT, [])
    assert AccessBook(store).may_read(caller("nothing"), RESULT)


def test_who_notes_at_once_loses_nothing(store: ObjectStore) -> None:
    count = 6
    together = threading.Barrier(count)

    def note(number: int) -> None:
        together.wait()
        AccessBook(store).note(RESULT, [f"exposure/{number}/a"])

    with ThreadPoolExecutor(count) as threads:
        list(threads.map(note, range(count)))
    assert all(AccessBook(store).may_read(caller(f"exposure/{number}/*"), RESULT) for number in range(count))


def test_what_may_not_be_read_is_not_found() -> None:
    check_reads(caller("instrument/MERLIN"), "instrument/MERLIN")
    with pytest.raises(Refusal) as refused:
        check_reads(caller("instrument/MERLIN"), "instrument/MERLIN", "instrument/MERLIN2")
    assert refused.value.status == 404


@pytest.mark.parametrize("thing", ["instrument/merlin", "instrument/MERLIN/x", "xinstrument/MERLIN", "instrument/"])
def test_patterns_are_exact_in_letters_and_length(thing: str) -> None:
    assert not caller("instrument/MERLIN").may_read(thing)
