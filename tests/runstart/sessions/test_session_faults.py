from __future__ import annotations

import errno
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from session_kit import LAUNCHER, House, kill_operator, line, processes_of
from waiting import wait_until

from runstart.errors import Alert, Transient
from runstart.launchers import LaunchSpec, Task
from runstart.launchers.failures import EngineUnreachable
from runstart.sessions import Allowance, SessionStatus, clean_up, wiring
from runstart.sessions.outcome import SessionFailed
from runstart.sessions.records import read_record
from runstart.sessions.wiring import ProcessWiring
from runstart.storage import FileStore

pytestmark = pytest.mark.faults


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def test_killed_replica_is_named_and_started_again_and_its_losses_are_counted(house: House) -> None:
    plan = line(house.source(600), house.work(replicas=2, pause_ms=5), house.sink())
    house.once(lambda now: now["work"].finished > 10, lambda: kill_operator(house, "work", 1))

    with pytest.raises(SessionFailed, match=r"messages? .*lost") as caught:
        house.run(plan)

    house.assert_all_counted(caught.value, 600)
    totals = caught.value.outcome.operators["work"]
    assert totals.restarts == 1
    assert totals.lost > 0
    assert "work (replica 1) has died" in house.reporter.text
    assert "SIGKILL" in house.reporter.text
    assert "work (replica 1) is ready again" in house.reporter.text
    assert read_record(house.store, house.session_id).state == "failed"


def test_operator_that_dies_on_one_message_loses_that_one_and_what_was_in_its_queues(house: House) -> None:
    house.change(queue=3)
    plan = line(house.source(200, size=20_000, pause_ms=2), house.work(at=50, does="die"), house.sink())

    with pytest.raises(SessionFailed) as caught:
        house.run(plan)

    house.assert_all_counted(caught.value, 200)
    assert house.numbers()[-1] == 199
    assert caught.value.outcome.lost < 100
    assert caught.value.outcome.operators["work"].lost_inside == 1


def test_operator_that_hangs_on_a_message_is_ended_and_started_again(house: House) -> None:
    house.change(message_limit_s=0.7)

    with pytest.raises(SessionFailed, match="has worked on one message for") as caught:
        house.run(line(house.source(20, pause_ms=20), house.work(at=3, does="hang"), house.sink()))

    house.assert_all_counted(caught.value, 20)
    assert caught.value.outcome.operators["work"].lost_inside == 1


def test_operator_that_stands_still_is_noticed_by_its_silence(house: House) -> None:
    house.change(silence_s=1.5)

    with pytest.raises(SessionFailed, match="no sign of life") as caught:
        house.run(line(house.source(20, pause_ms=20), house.work(at=3, does="stand still"), house.sink()))

    house.assert_all_counted(caught.value, 20)


def test_operator_that_eats_memory_is_ended_at_its_limit_and_named(house: House) -> None:
    house.change(allowances={"work": Allowance(memory_bytes=150 << 20)})

    with pytest.raises(SessionFailed, match="work used more memory than its limit") as caught:
        house.run(line(house.source(20, pause_ms=20), house.work(at=3, does="eat"), house.sink()))

    house.assert_all_counted(caught.value, 20)
    assert caught.value.outcome.operators["work"].peak_memory_bytes > 100 << 20


def test_operator_that_exits_by_itself_is_started_again_though_its_code_is_0(house: House) -> None:
    with pytest.raises(SessionFailed, match="has ended by itself") as caught:
        house.run(line(house.source(20, pause_ms=20), house.work(at=3, does="exit"), house.sink()))

    house.assert_all_counted(caught.value, 20)


def test_operator_that_dies_too_often_gives_up_and_the_rest_ends_with_what_was_on_its_way(house: House) -> None:
    code = """
    @operator
    def work(inputs, parameters):
        os._exit(3)
    """
    with pytest.raises(SessionFailed, match="broken has died too often: 1 of its replicas gave up") as caught:
        house.run(line(house.source(100_000), house.work(), house.work(name="broken", code=code), house.sink()))

    totals = caught.value.outcome.operators["broken"]
    assert (totals.restarts, totals.gave_up, totals.lost_inside) == (3, 1, 4)
    assert house.reporter.text.count("broken (replica 0) has died") == 4


def test_source_whose_function_fails_ten_times_in_a_row_gives_up_with_its_error(house: House) -> None:
    code = """
    @operator
    def source(inputs, parameters):
        raise OSError("the detector does not answer")
    """
    source = house.stage("source", code, outputs=["out"])

    with pytest.raises(SessionFailed, match="the detector does not answer") as caught:
        house.run(line(source, house.sink()))

    assert caught.value.outcome.operators["source"].failed == 40
    assert caught.value.outcome.operators["source"].gave_up == 1


def test_operator_that_holds_results_has_forgotten_them_when_it_dies(house: House) -> None:
    code = """
    total = 0

    @operator(keeps_state=True)
    def work(inputs, parameters):
        global total
        total += 1
        if total == 11 and not (DATA_DIRECTORY / "output_dir" / "died").exists():
            (DATA_DIRECTORY / "output_dir" / "died").touch()
            os.kill(os.getpid(), signal.SIGKILL)

    @on_finish
    def emit(parameters):
        return message(total)
    """
    sums = house.work(code=code, output_dir=str(house.out))

    with pytest.raises(SessionFailed, match="work has died and forgotten 10 messages") as caught:
        house.run(line(house.source(100, pause_ms=5), sums, house.sink()))

    assert house.numbers()[0] + caught.value.outcome.lost + 10 == 100


def test_source_that_dies_begins_anew_and_is_said_to_have_repeated_its_messages(house: House) -> None:
    house.once(lambda now: now["source"].emitted > 20, lambda: kill_operator(house, "source"))

    with pytest.raises(SessionFailed, match=r"source has died after .* and begun anew") as caught:
        house.run(line(house.source(150, pause_ms=10), house.sink()))

    totals = caught.value.outcome.operators["source"]
    assert totals.repeated > 20
    assert len(house.numbers()) + caught.value.outcome.lost == 150 + totals.repeated
    assert set(house.numbers()) == set(range(150))


def test_full_disk_is_told_as_what_it_is_and_leaves_nothing(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, *, open_to_all: bool) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(wiring, "make_counters", refuse)
    with pytest.raises(Transient, match=r"The disk of .* is full"):
        house.run(line(house.source(10), house.sink()))


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit, RuntimeError])
def test_interrupted_session_leaves_nothing_and_its_operators_put_their_things_in_order(
    house: House, interruption: type[BaseException]
) -> None:
    code = """
    @dependencies
    def things():
        yield
        (DATA_DIRECTORY / "output_dir" / "in order").touch()

    @operator
    def work(inputs, parameters):
        return inputs
    """

    def interrupt() -> None:
        raise interruption("from outside")

    house.once(lambda now: now["work"].finished > 3, interrupt)
    with pytest.raises(interruption):
        house.run(
            line(house.source(10_000, pause_ms=5), house.work(code=code, output_dir=str(house.out)), house.sink())
        )

    assert (house.out / "in order").exists()
    record = read_record(house.store, house.session_id)
    assert record.has_ended
    assert "from outside" in record.reason


def test_interruption_while_operators_start_leaves_nothing(house: House) -> None:
    def interrupt(status: SessionStatus) -> None:
        raise KeyboardInterrupt

    house.reporter.on_status = interrupt
    with pytest.raises(KeyboardInterrupt):
        house.run(line(house.source(10), house.sink()))
    assert read_record(house.store, house.session_id).state == "stopped"


def test_operator_whose_start_is_interrupted_is_not_left(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    start = LAUNCHER.start

    def start_and_be_interrupted(spec: LaunchSpec) -> Task:
        start(spec)
        raise KeyboardInterrupt

    monkeypatch.setattr(LAUNCHER, "start", start_and_be_interrupted)
    with pytest.raises(KeyboardInterrupt):
        house.run(line(house.source(10), house.sink()))
    house.assert_nothing_is_left()


def test_operator_that_must_be_killed_at_the_end_is_told(house: House) -> None:
    code = """
    @dependencies
    def things():
        yield
        time.sleep(60)

    @operator
    def work(inputs, parameters):
        return inputs
    """
    house.change(grace_s=1.0)

    with pytest.raises(SessionFailed, match="work failed when it was told to end"):
        house.run(line(house.source(10), house.work(code=code), house.sink()))
    assert house.numbers() == list(range(10))


def test_engine_that_does_not_answer_for_a_while_is_waited_for(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[int] = []
    wait = LAUNCHER.wait

    def unreachable(*arguments: object) -> object:
        looks.append(1)
        if 10 < len(looks) < 20:
            raise EngineUnreachable("here", "it is restarted")
        return wait(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(LAUNCHER, "wait", unreachable)
    outcome = house.run(line(house.source(100, pause_ms=10), house.sink()))

    assert outcome.state == "finished"
    assert house.numbers() == list(range(100))
    assert "It answers again" in house.reporter.text


def test_engine_that_stays_away_ends_the_session_as_something_that_passes(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.change(engine_patience_s=0.3)
    wait, down = LAUNCHER.wait, threading.Event()

    def unreachable(*arguments: object) -> object:
        if down.is_set():
            raise EngineUnreachable("here", "it is gone")
        return wait(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(LAUNCHER, "wait", unreachable)
    house.once(lambda now: now["sink"].finished > 0, down.set)
    with pytest.raises(Transient, match="it is gone"):
        house.run(line(house.source(10_000, pause_ms=10), house.sink()))


def test_session_that_is_interrupted_does_not_wait_for_an_engine_that_is_away(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.change(engine_patience_s=20.0, grace_s=0.5)
    wait, down = LAUNCHER.wait, threading.Event()

    def unreachable(*arguments: object) -> object:
        if down.is_set():
            raise EngineUnreachable("here", "it is gone")
        return wait(*arguments)  # type: ignore[arg-type]

    def interrupt(now: SessionStatus) -> None:
        if any("it is gone" in text for text in house.reporter.logs):
            interrupted_at.append(time.monotonic())
            raise KeyboardInterrupt
        if any(operator.finished for operator in now.operators):
            down.set()

    interrupted_at: list[float] = []
    monkeypatch.setattr(LAUNCHER, "wait", unreachable)
    house.reporter.on_status = interrupt
    with pytest.raises(KeyboardInterrupt):
        house.run(line(house.source(10_000, pause_ms=10), house.sink()))
    assert time.monotonic() - interrupted_at[0] < 10


class _FullStore(FileStore):
    """A store whose disk is full as soon as it is told so, but for records."""

    is_full = False

    def put(self, key: str, data: bytes) -> str:
        if self.is_full:
            raise Transient("The disk of the object store is full.")
        return super().put(key, data)


def test_store_that_is_full_is_reported_and_does_not_end_the_session(house: House, tmp_path: Path) -> None:
    store = house.store = _FullStore(tmp_path / "full")
    house.once(lambda now: now["sink"].finished > 0, lambda: setattr(store, "is_full", True))

    outcome = house.run(line(house.source(60, pause_ms=10), house.work(at=50, does="raise"), house.sink()))

    assert len(house.numbers()) == 59
    assert outcome.unwritten > 0
    assert "The disk of the object store is full" in house.reporter.text
    assert "were not written" in house.reporter.text


def test_replicas_of_one_operator_may_die_while_another_finishes(house: House) -> None:
    plan = line(house.source(1000, size=1000), house.work(pause_ms=1, replicas=2), house.sink())

    def kill_both() -> None:
        kill_operator(house, "work", 0)
        kill_operator(house, "sink")

    house.once(lambda now: now["sink"].finished > 10, kill_both)
    with pytest.raises(SessionFailed) as caught:
        house.run(plan)

    house.assert_all_counted(caught.value, 1000, written_as_it_died=1)


def test_host_that_does_not_resolve_is_named(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ProcessWiring, "_reached_at", lambda *_: "tcp://no-such-host.invalid:47000")
    monkeypatch.setattr(ProcessWiring, "_bound_at", lambda *_: "tcp://127.0.0.1:*")

    house.change(resolve_s=0.5)
    with pytest.raises(Alert, match=r"no-such-host\.invalid"):
        house.run(line(house.source(10), house.sink()))


def test_garbage_on_the_wire_is_a_dead_letter_and_the_rest_goes_on(house: House) -> None:
    code = """
    @operator
    def work(inputs, parameters):
        return message(int(bytes(inputs.data)))
    """
    garbage = """
    sent = 0

    @operator
    def source(inputs, parameters):
        global sent
        sent += 1
        if sent > 10:
            raise EndOfStream
        return BytesMessage(MessageHeader(), b"\\xff\\x00" * 1000) if sent % 2 else message(sent)
    """
    source = house.stage("source", garbage, outputs=["out"])

    outcome = house.run(line(source, house.work(code=code), house.sink()))

    assert house.numbers() == [2, 4, 6, 8, 10]
    assert outcome.operators["work"].dead_letters == 5


def test_kill_of_the_session_leaves_no_process_of_it(house: House) -> None:
    """The session runs in a process of its own, which is killed; the wardens end with it."""
    program = (
        "import sys; sys.path[:0] = sys.argv[3:]; from pathlib import Path; from session_kit import *;"
        "house = House(Path(sys.argv[1])); house.session_id = sys.argv[2];"
        "house.run(line(house.source(100_000, pause_ms=5), house.sink()))"
    )
    tests = Path(__file__).parents[2]
    folders = [str(tests.parent), str(tests)]
    inner = house.folder / "inner"
    inner.mkdir()
    session = subprocess.Popen([sys.executable, "-c", program, str(inner), house.session_id, *folders])
    wait_until((inner / "out" / "sink").exists, "the first number", timeout=30)
    session.send_signal(signal.SIGKILL)
    session.wait()

    wait_until(lambda: not processes_of(house, "source") and not processes_of(house, "sink"), "their end")
    store = FileStore(inner / "store")
    told = clean_up(LAUNCHER, store, lambda _: True, 3600.0, read_record(store, house.session_id).started_at + 60)
    assert house.session_id in "".join(told)
    assert read_record(store, house.session_id).state == "failed"
