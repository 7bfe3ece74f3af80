"""Sessions share out a machine: what does not fit waits with a reason, and the dead hold nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runstart.errors import Alert, Transient
from runstart.host import Demand, Gpu, HostResources, Reservation, Reservations
from runstart.host import reservations as module

GB = 1_000_000_000
A, B, C = "A" * 16, "B" * 16, "C" * 16

HOLD = """
import sys
from pathlib import Path
from runstart.host import Demand, Reservations, measure_host
from runstart.host.resources import HostResources
host = HostResources("here", 4, 0, 10**9, 10**9, "/", 10**9, 10**9)
held = Reservations(Path(sys.argv[1])).reserve(sys.argv[2], Demand(memory_bytes=9 * 10**8), host)
print("held", flush=True)
sys.stdin.read()
"""


def host(*, available: int = 10 * GB, gpus: int = 0) -> HostResources:
    """Return a machine with 4 processors, 10 GB of memory and 100 GB of disk."""
    cards = tuple(Gpu(index, "card", GB, GB, 0) for index in range(gpus))
    return HostResources("bench7", 4.0, 0.0, 10 * GB, available, "/data", 100 * GB, 90 * GB, cards)


@pytest.fixture
def reservations(tmp_path: Path) -> Reservations:
    return Reservations(tmp_path / "shared")


def reserved(answer: Reservation | str) -> Reservation:
    assert isinstance(answer, Reservation), answer
    return answer


def test_what_fits_is_held_until_it_is_released(reservations: Reservations) -> None:
    demand = Demand(cpus=1, memory_bytes=6 * GB)
    with reserved(reservations.reserve(A, demand, host())):
        assert [(held.session_id, held.demand) for held in reservations.living()] == [(A, demand)]
        assert isinstance(reservations.reserve(B, demand, host()), str)
    assert reservations.living() == []
    reserved(reservations.reserve(B, demand, host())).release()


def test_the_reason_says_what_is_missing_and_who_holds_it(reservations: Reservations) -> None:
    with reserved(reservations.reserve(A, Demand(memory_bytes=7 * GB), host())):
        reason = reservations.reserve(B, Demand(memory_bytes=4 * GB), host())
    assert reason == (
        "Waits for room on bench7: it needs 4.00 GB of memory, and 3.00 GB are left (held by: session AAAAAAAAAAAAAAAA, "
        "7.00 GB)."
    )


def test_memory_that_other_programs_use_is_not_given_away(reservations: Reservations) -> None:
    reason = reservations.reserve(A, Demand(memory_bytes=3 * GB), host(available=2 * GB))
    assert isinstance(reason, str)
    assert "2.00 GB are left (other programs use the rest)" in reason


def test_processors_may_be_promised_more_than_once_as_declared(tmp_path: Path) -> None:
    reservations = Reservations(tmp_path, overcommit=1.5)
    with reserved(reservations.reserve(A, Demand(cpus=4), host())):
        reserved(reservations.reserve(B, Demand(cpus=2), host())).release()
        reason = reservations.reserve(B, Demand(cpus=2.5), host())
    assert isinstance(reason, str)
    assert "2.5 processors, and 2 are left" in reason


@pytest.mark.parametrize(
    ("demand", "text"),
    [
        (Demand(cpus=8.5), "8.5 processors"),
        (Demand(memory_bytes=11 * GB), "11.0 GB of memory"),
        (Demand(disk_bytes=101 * GB), "101 GB of disk"),
        (Demand(gpus=1), "1 GPUs"),
    ],
)
def test_what_can_never_fit_is_an_alert_that_says_why(
    reservations: Reservations, demand: Demand, text: str
) -> None:
    with pytest.raises(Alert, match="can never run on bench7") as caught:
        reservations.reserve(A, demand, host())
    assert text in caught.value.what


def test_each_session_gets_gpus_of_its_own(reservations: Reservations) -> None:
    machine = host(gpus=3)
    with reserved(reservations.reserve(A, Demand(gpus=2), machine)) as first:
        assert first.gpus == (0, 1)
        with reserved(reservations.reserve(B, Demand(gpus=1), machine)) as second:
            assert second.gpus == (2,)
            assert isinstance(reservations.reserve(C, Demand(gpus=1), machine), str)


def test_a_session_can_reserve_only_once(reservations: Reservations) -> None:
    with reserved(reservations.reserve(A, Demand(), host())), pytest.raises(Alert, match="only once"):
        reservations.reserve(A, Demand(), host())


@pytest.mark.faults
def test_a_killed_process_holds_nothing(tmp_path: Path) -> None:
    reservations = Reservations(tmp_path)
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path), A], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"held\n"
        assert [held.session_id for held in reservations.living()] == [A]
        machine = HostResources("here", 4, 0, GB, GB, "/", GB, GB)
        assert isinstance(reservations.reserve(B, Demand(memory_bytes=GB // 2), machine), str)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        reserved(reservations.reserve(B, Demand(memory_bytes=GB // 2), machine)).release()
    assert not (tmp_path / f"{A}.json").exists()


def test_of_many_at_once_only_as_many_get_room_as_there_is(reservations: Reservations) -> None:
    answers: list[Reservation | str] = []
    start = threading.Barrier(8)

    def reserve(number: int) -> None:
        start.wait()
        answers.append(reservations.reserve(f"{number:016X}", Demand(memory_bytes=3 * GB), host()))

    threads = [threading.Thread(target=reserve, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    held = [answer for answer in answers if isinstance(answer, Reservation)]
    assert len(held) == 3
    for one in held:
        one.release()


def test_a_lock_that_is_never_given_back_is_told(
    reservations: Reservations, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LOCK_WAIT_S", 0.05)
    with reservations._alone(), pytest.raises(Transient, match="it must hang"):
        reservations.living()


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Transient, match="cannot share out this machine"):
        Reservations(tmp_path / "file" / "folder").living()


demands = st.builds(
    Demand,
    cpus=st.floats(0, 5),
    memory_bytes=st.integers(0, 10 * GB),
    disk_bytes=st.integers(0, 100 * GB),
    gpus=st.integers(0, 2),
)


@settings(max_examples=25, deadline=None)
@given(steps=st.lists(st.tuples(demands, st.booleans()), max_size=12))
def test_what_is_held_together_never_exceeds_the_machine(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[Demand, bool]]
) -> None:
    reservations = Reservations(tmp_path_factory.mktemp("shared"))
    machine, held = host(gpus=2), []
    for number, (demand, is_released) in enumerate(steps):
        answer = reservations.reserve(f"{number:016X}", demand, machine)
        if isinstance(answer, Reservation):
            held.append(answer)
        if held and is_released:
            held.pop(0).release()
        total = sum((one.held.demand for one in held), Demand())
        assert total.cpus <= 8.0 + 1e-6
        assert total.memory_bytes <= 10 * GB
        assert total.disk_bytes <= 100 * GB
        gpus = [gpu for one in held for gpu in one.gpus]
        assert len(gpus) == len(set(gpus)) == total.gpus
        assert {one.session_id for one in reservations.living()} == {one.held.session_id for one in held}
    for one in held:
        one.release()
