from __future__ import annotations

import hashlib
import json
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from operation_toys import toy
from operation_worker import Running
from waiting import wait_until

from runstart.errors import Alert, Transient
from runstart.facility import S3Server
from runstart.operation_kit import Entry, Workplace, execute, load_entry, prepare
from runstart.operation_kit.flight import Claim, claim_or_wait, publish
from runstart.storage import FileStore, ObjectMissing, ObjectStore, S3Store, StoredObject

KEY = "0f" * 32
REQUEST: dict[str, Any] = {"input_files": ["night/a.fits", "night/b.fits"], "mode": "own"}
N_PUTS = 7  # claim, four objects of one output, entry, the claim's release
SHORT = 0.4  # seconds of a lease
CALM = 1.5  # of one that must hold on a busy machine


def make_entry(label: str = "x") -> Entry:
    return Entry(KEY, {"label": label}, {}, (), 1.0, "2025-01-01T00:00:00+00:00")


def entry_of(worker: Running) -> Entry:
    return Entry.from_json(worker.answer()["entry"].encode())


def assert_whole(store: ObjectStore, entry: Entry) -> None:
    for output in entry.outputs:
        for name, place in output.objects.items():
            assert hashlib.sha256(store.get(place).data).hexdigest() == output.sha256[name]


@pytest.fixture(params=["file", pytest.param("s3", marks=pytest.mark.store)])
def shared(request: pytest.FixtureRequest, place: Workplace) -> tuple[ObjectStore, dict[str, Any]]:
    """A store, and how a worker reaches it."""
    if request.param == "file":
        return place.store, {}
    server: S3Server = request.getfixturevalue("s3_server")
    store: S3Store = request.getfixturevalue("s3_store")
    return store, {"store": f"s3://{store.bucket}/{store.prefix}", "environ": server.environment}


@pytest.mark.parametrize("number", [2, 8])
def test_a_request_at_once_in_many_processes_is_computed_once(
    number: int, shared: tuple[ObjectStore, dict[str, Any]], workers: Any, log: Any, tmp_path: Path
) -> None:
    store, order = shared
    gate = tmp_path / "gate"
    # The order of the files is another each time: it is the same request.
    orders = [REQUEST["input_files"], REQUEST["input_files"][::-1]]
    running = [
        workers.start({**REQUEST, "input_files": orders[n % 2]}, gate=str(gate), **order) for n in range(number)
    ]
    wait_until(lambda: log.pids, "a computation")
    gate.touch()
    answers = [worker.answer() for worker in running]
    assert sorted(answer["computed"] for answer in answers) == [False] * (number - 1) + [True]
    assert len({answer["entry"] for answer in answers}) == 1
    assert len(log.pids) == 1
    assert_whole(store, entry_of(running[0]))


def test_a_holder_that_is_killed_is_taken_over_by_one(
    shared: tuple[ObjectStore, dict[str, Any]], workers: Any, log: Any, tmp_path: Path
) -> None:
    store, order = shared
    holder = workers.start(REQUEST, gate=str(tmp_path / "never"), lease_seconds=CALM, **order)
    wait_until(lambda: log.pids, "a computation")
    holder.kill()
    holder.wait()
    takers = [workers.start(REQUEST, lease_seconds=CALM, **order) for _ in range(3)]
    assert sorted(taker.answer()["computed"] for taker in takers) == [False, False, True]
    assert len(log.pids) == 2
    entry = entry_of(takers[0])
    assert_whole(store, entry)
    assert "/2-" in entry.outputs[0].objects["fits"]


def test_a_holder_that_renews_its_claim_is_waited_for_beyond_its_lease(
    workers: Any, log: Any, tmp_path: Path, place: Workplace
) -> None:
    gate = tmp_path / "gate"
    holder = workers.start(REQUEST, gate=str(gate), lease_seconds=CALM)
    wait_until(lambda: log.pids, "a computation")
    waiter = workers.start(REQUEST, lease_seconds=CALM)
    (claim,) = (name for name in place.store.list("operations/") if name.endswith("claim.json"))
    wait_until(lambda: json.loads(place.store.get(claim).data)["beat"] > 5, "beats of more than a lease")
    gate.touch()
    assert holder.answer()["computed"]
    assert not waiter.answer()["computed"]


@pytest.mark.faults
@pytest.mark.parametrize("number", range(1, N_PUTS + 1))
def test_nothing_looks_complete_after_a_kill_at_any_put(
    number: int, workers: Any, place: Workplace, log: Any
) -> None:
    victim = workers.start(REQUEST, kill_at=[number, "after"])
    victim.wait()
    assert not victim.answer_path.exists()
    key = prepare(toy, REQUEST, place.inputs).key
    left = load_entry(place.store, key)
    assert (left is None) == (number < N_PUTS - 1)
    taker = workers.start(REQUEST, lease_seconds=SHORT)
    assert taker.answer()["computed"] == (left is None)
    entry = load_entry(place.store, key)
    assert entry is not None
    assert_whole(place.store, entry)
    victims_own = entry.outputs[0].label == str(victim.pid)
    assert victims_own == (left is not None)
    with FolderCheck(place.scratch) as check:
        execute(toy, {**REQUEST, "level": 7}, place)  # sweeps what the killed process has left
    assert check.left == []


class FolderCheck:
    """What a block has left in a folder of scratch folders."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.left: list[str] = []

    def __enter__(self) -> FolderCheck:
        return self

    def __exit__(self, *_: object) -> None:
        self.left = [path.name for path in self._root.iterdir() if path.is_dir()]


@pytest.mark.faults
@pytest.mark.parametrize("number", range(2, N_PUTS + 1))
def test_a_holder_that_slept_beyond_its_lease_changes_nothing(
    number: int, workers: Any, place: Workplace, log: Any
) -> None:
    sleeper = workers.start(REQUEST, kill_at=[number, "before", signal.SIGSTOP], lease_seconds=SHORT)
    sleeper.wait_until_stopped()
    taker = workers.start(REQUEST, lease_seconds=SHORT)
    entry = entry_of(taker)
    published = place.store.get(f"operations/{entry.key}/entry.json").data
    was_done = number == N_PUTS  # it slept before the release of its claim
    assert taker.answer()["computed"] != was_done
    sleeper.kill(signal.SIGCONT)
    late = sleeper.answer()
    assert late.get("error", "Transient") == "Transient"
    assert late.get("entry", published.decode()) == published.decode()
    assert late.get("computed", False) == was_done
    assert place.store.get(f"operations/{entry.key}/entry.json").data == published
    assert_whole(place.store, entry)
    assert entry.outputs[0].label == str(sleeper.pid if was_done else taker.pid)


class Hooked(ObjectStore):
    """A store that does something around its calls."""

    def __init__(self, store: ObjectStore) -> None:
        self.store = store
        self.before_get: Callable[[str], None] = lambda _key: None
        self.after_put: Callable[[str], None] = lambda _key: None

    def get(self, key: str) -> StoredObject:
        self.before_get(key)
        return self.store.get(key)

    def head(self, key: str) -> str | None:
        return self.store.head(key)

    def put(self, key: str, data: bytes) -> str:
        return self.store.put(key, data)

    def put_if_absent(self, key: str, data: bytes) -> str:
        etag = self.store.put_if_absent(key, data)
        self.after_put(key)
        return etag

    def put_if_match(self, key: str, data: bytes, etag: str) -> str:
        new = self.store.put_if_match(key, data, etag)
        self.after_put(key)
        return new

    def delete(self, key: str) -> None:
        self.store.delete(key)

    def list(self, prefix: str = "") -> list[str]:
        return self.store.list(prefix)


def take(store: ObjectStore, lease_seconds: float = SHORT) -> Claim:
    claim = claim_or_wait(store, KEY, lease_seconds=lease_seconds)
    assert isinstance(claim, Claim)
    return claim


def stored_claim(store: ObjectStore) -> Any:
    return json.loads(store.get(f"operations/{KEY}/claim.json").data)


def test_who_looks_while_another_publishes_and_leaves_does_not_compute_again(file_store: FileStore) -> None:
    holder = take(file_store)
    holder.__enter__()
    hooked = Hooked(file_store)

    def end_meanwhile(key: str) -> None:
        if key.endswith("entry.json"):
            hooked.before_get = lambda _key: None
            publish(file_store, make_entry())
            holder.__exit__(None, None, None)
            raise ObjectMissing(key)  # as it was when the look began

    hooked.before_get = end_meanwhile
    assert claim_or_wait(hooked, KEY) == make_entry()


def test_a_renewal_whose_answer_is_lost_does_not_lose_the_claim(file_store: FileStore) -> None:
    hooked = Hooked(file_store)
    lost = iter([True, True, False, True])

    def lose(key: str) -> None:
        if next(lost, False):
            raise Transient("the answer was lost")

    claim = take(hooked)
    hooked.after_put = lose
    with claim:
        wait_until(lambda: stored_claim(file_store)["beat"] > 6, "more renewals")
        claim.check()
    assert stored_claim(file_store)["released"]


def test_a_claim_that_is_deleted_is_lost(file_store: FileStore) -> None:
    def lost() -> bool:
        try:
            claim.check()
        except Transient:
            return True
        return False

    with take(file_store) as claim:
        file_store.delete(f"operations/{KEY}/claim.json")
        wait_until(lost, "the loss")
    other = take(file_store)
    assert other.attempt == claim.attempt == 1
    assert other.folder != claim.folder


@pytest.mark.parametrize(
    ("failure", "told", "message"),
    [
        (Alert("The bucket may not be written.", "Give the right."), Alert, "may not be written"),
        (OSError(5, "Input/output error"), Transient, "cannot be renewed.*Input/output error"),
    ],
)
def test_a_claim_whose_renewal_ends_is_lost(
    failure: Exception, told: type[Exception], message: str, file_store: FileStore
) -> None:
    hooked = Hooked(file_store)

    def fail(key: str) -> None:
        raise failure

    def lost() -> Exception | None:
        try:
            claim.check()
        except (Alert, Transient) as error:
            return error
        return None

    with take(hooked) as claim:
        hooked.after_put = fail
        wait_until(lost, "the loss")
        with pytest.raises(told, match=message):
            claim.check()
    assert not stored_claim(file_store)["released"]


def test_a_claim_that_is_taken_over_is_lost_and_not_released(file_store: FileStore) -> None:
    first = take(file_store)  # not entered: it is never renewed
    second = take(file_store, lease_seconds=0.0)
    assert second.attempt == 2
    with first:
        pass
    assert stored_claim(file_store)["attempt"] == 2
    assert not stored_claim(file_store)["released"]


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"{}", b'{"attempt": "x", "owner": "", "released": false}'])
def test_a_damaged_claim_is_taken_over_after_its_lease(file_store: FileStore, data: bytes) -> None:
    file_store.put(f"operations/{KEY}/claim.json", data)
    assert take(file_store, lease_seconds=0.1).attempt == 1


def test_a_released_claim_is_taken_at_once(file_store: FileStore) -> None:
    with pytest.raises(ZeroDivisionError), take(file_store, lease_seconds=1000):
        raise ZeroDivisionError
    assert take(file_store, lease_seconds=1000).attempt == 2


def test_who_waits_is_told_so_and_gets_the_entry(file_store: FileStore) -> None:
    waits: list[float] = []
    found: list[Entry | Claim] = []

    def wait() -> None:
        found.append(claim_or_wait(file_store, KEY, on_wait=waits.append))

    with take(file_store):
        thread = threading.Thread(target=wait)
        thread.start()
        wait_until(lambda: len(waits) > 1, "two messages")
        publish(file_store, make_entry())
        thread.join()
    assert found == [make_entry()]
    assert waits == sorted(waits)


def test_the_first_entry_counts(file_store: FileStore) -> None:
    assert publish(file_store, make_entry("first")) == make_entry("first")
    assert publish(file_store, make_entry("second")) == make_entry("first")
    assert load_entry(file_store, KEY) == make_entry("first")


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before
