"""What every object store promises, tried on each backend."""

from __future__ import annotations

import os
import random
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runstart.facility import S3Server
from runstart.storage import FileStore, ObjectMissing, ObjectStore, PreconditionFailed, S3Store, open_store

BUCKET = "runstart-tests"
KEYS = ("SANS2D/a", "SANS2D/b=1", "SANS2D/run_1", "c")


@dataclass
class Backend:
    """Makes empty stores with their URLs, which other processes open in this environment."""

    make: Callable[[], tuple[str, ObjectStore]]
    environment: dict[str, str]
    examples: int


@pytest.fixture(params=["file", pytest.param("s3", marks=pytest.mark.store)])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    if request.param == "file":

        def make_folder() -> tuple[str, ObjectStore]:
            folder = tmp_path / secrets.token_hex(4)
            return f"file:{folder}", FileStore(folder)

        yield Backend(make_folder, {}, 60)
        return
    server: S3Server = request.getfixturevalue("s3_server")
    client = server.client()

    def make_prefix() -> tuple[str, ObjectStore]:
        prefix = secrets.token_hex(8)
        return f"s3://{BUCKET}/{prefix}", S3Store(client, BUCKET, prefix)

    yield Backend(make_prefix, server.environment, 15)
    client.close()


@pytest.fixture
def empty(backend: Backend) -> ObjectStore:
    return backend.make()[1]


def test_what_was_put_is_read_back_with_the_etag_of_the_put(empty: ObjectStore) -> None:
    etag = empty.put("a/b.bin", b"\x00\xff" * 1000)
    assert empty.get("a/b.bin").data == b"\x00\xff" * 1000
    assert empty.get("a/b.bin").etag == etag == empty.head("a/b.bin")


def test_an_object_may_be_empty(empty: ObjectStore) -> None:
    etag = empty.put("nothing", b"")
    assert empty.get("nothing").data == b""
    assert empty.head("nothing") == etag


def test_ten_megabytes_are_read_back_whole(empty: ObjectStore) -> None:
    data = random.Random(1).randbytes(10_000_000)
    empty.put("snapshot", data)
    assert empty.get("snapshot").data == data


@pytest.mark.parametrize(
    ("start", "stop"), [(0, 1), (0, 256), (10, 20), (255, 256), (250, 999), (256, 300), (999, 1000), (5, 5), (9, 3)]
)
def test_a_part_is_read_as_far_as_the_object_goes(empty: ObjectStore, start: int, stop: int) -> None:
    data = bytes(range(256))
    empty.put("a/b", data)
    assert empty.get_part("a/b", start, stop) == data[start:stop]


@pytest.mark.parametrize(("start", "stop"), [(0, 1), (0, 0)])
def test_a_part_of_nothing_is_missing(empty: ObjectStore, start: int, stop: int) -> None:
    with pytest.raises(ObjectMissing):
        empty.get_part("a/b", start, stop)


def test_other_content_has_another_etag(empty: ObjectStore) -> None:
    assert empty.put("a", b"1") != empty.put("a", b"2")


def test_a_missing_object_is_told(empty: ObjectStore) -> None:
    empty.put("a/b", b"")
    for key in ("x", "a", "a/x", "x/y/z"):
        assert empty.head(key) is None
        with pytest.raises(ObjectMissing) as caught:
            empty.get(key)
        assert caught.value.key == key


def test_deleting_removes_and_may_be_repeated(empty: ObjectStore) -> None:
    empty.delete("a")
    empty.put("a", b"1")
    empty.delete("a")
    empty.delete("a")
    assert empty.head("a") is None
    assert empty.list() == []


def test_put_if_absent_never_overwrites(empty: ObjectStore) -> None:
    etag = empty.put_if_absent("a/b", b"first")
    with pytest.raises(PreconditionFailed) as caught:
        empty.put_if_absent("a/b", b"second")
    assert caught.value.key == "a/b"
    assert empty.get("a/b").data == b"first"
    assert empty.head("a/b") == etag


def test_put_if_match_replaces_only_the_expected_version(empty: ObjectStore) -> None:
    old = empty.put("a", b"1")
    new = empty.put_if_match("a", b"2", old)
    with pytest.raises(PreconditionFailed):
        empty.put_if_match("a", b"3", old)
    assert empty.get("a").data == b"2"
    assert empty.put_if_match("a", b"3", new) == empty.head("a")


def test_put_if_match_does_not_create(empty: ObjectStore) -> None:
    etag = empty.put("a", b"1")
    empty.delete("a")
    with pytest.raises(PreconditionFailed):
        empty.put_if_match("a", b"2", etag)
    assert empty.head("a") is None


def test_a_listing_has_the_keys_of_the_prefix_in_order(empty: ObjectStore) -> None:
    keys = ["a/1", "a/2/x", "a/2/y", "a-b", "ab", "b/1"]
    for key in reversed(keys):
        empty.put(key, key.encode())
    assert empty.list() == sorted(keys)
    assert empty.list("a/") == ["a/1", "a/2/x", "a/2/y"]
    assert empty.list("a/2") == ["a/2/x", "a/2/y"]
    assert empty.list("a") == ["a-b", "a/1", "a/2/x", "a/2/y", "ab"]
    assert empty.list("nothing/here") == []


def test_a_listing_is_complete_beyond_a_page(backend: Backend) -> None:
    _, store = backend.make()
    # S3 lists a thousand keys at a time.
    keys = [f"k{number:04d}" for number in range(1005 if backend.environment else 50)]
    for key in keys:
        store.put(key, b"")
    assert store.list() == keys


@pytest.mark.parametrize(
    "key", ["", "/a", "a/", "a//b", ".", "..", "a/../b", "a/./b", "a b", "ä", "a\\b", "a\0", "~store/x"]
)
def test_what_is_no_key_is_refused_by_every_method(empty: ObjectStore, key: str) -> None:
    for method in (empty.get, empty.head, empty.delete):
        with pytest.raises(ValueError, match="not a key"):
            method(key)
    for put in (empty.put, empty.put_if_absent):
        with pytest.raises(ValueError, match="not a key"):
            put(key, b"")
    with pytest.raises(ValueError, match="not a key"):
        empty.put_if_match(key, b"", "etag")


@pytest.mark.parametrize("key", ["a" * 201, "/".join(["abcdefghi"] * 91)])
def test_a_key_that_is_too_long_is_refused(empty: ObjectStore, key: str) -> None:
    with pytest.raises(ValueError, match="not a key"):
        empty.put(key, b"")


def test_the_longest_key_is_taken(empty: ObjectStore) -> None:
    key = "/".join(["a" * 179] * 5)
    assert len(key) == 899
    empty.put(key, b"1")
    assert empty.list() == [key]


def test_a_prefix_that_begins_no_key_is_refused(empty: ObjectStore) -> None:
    for prefix in ("/", "a//", "../"):
        with pytest.raises(ValueError, match="not a key"):
            empty.list(prefix)


_operations = st.lists(
    st.tuples(
        st.sampled_from(["put", "put_if_absent", "put_if_match", "stale", "delete", "get", "list"]),
        st.sampled_from(KEYS),
        st.binary(max_size=8),
    ),
    max_size=25,
)


def test_any_sequence_of_operations_gives_what_a_dict_would(backend: Backend) -> None:
    @settings(
        max_examples=backend.examples,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(_operations)
    def check(operations: list[tuple[str, str, bytes]]) -> None:
        _, store = backend.make()
        model: dict[str, bytes] = {}
        for operation, key, data in operations:
            _apply(store, model, operation, key, data)
        assert store.list() == sorted(model)
        assert {key: store.get(key).data for key in model} == model

    check()


def _apply(store: ObjectStore, model: dict[str, bytes], operation: str, key: str, data: bytes) -> None:
    if operation == "put":
        store.put(key, data)
        model[key] = data
    elif operation == "put_if_absent":
        if key in model:
            with pytest.raises(PreconditionFailed):
                store.put_if_absent(key, data)
        else:
            store.put_if_absent(key, data)
            model[key] = data
    elif operation == "put_if_match":
        etag = store.head(key)
        assert (etag is None) == (key not in model)
        if etag is not None:
            store.put_if_match(key, data, etag)
            model[key] = data
    elif operation == "stale":
        with pytest.raises(PreconditionFailed):
            store.put_if_match(key, data, '"0123456789abcdef0123456789abcdef"')
    elif operation == "delete":
        store.delete(key)
        model.pop(key, None)
    elif operation == "get" and key in model:
        assert store.get(key).data == model[key]
    elif operation == "list":
        assert store.list("SANS2D/") == sorted(key for key in model if key.startswith("SANS2D/"))


def _process(backend: Backend, script: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | backend.environment,
    )


_COUNT_UP = """
import sys
from runstart.storage import PreconditionFailed, open_store
store, me = open_store(sys.argv[1]), sys.argv[2]
store.head("counter"); print("ready", flush=True); sys.stdin.readline()
won = []
while True:
    now = store.get("counter")
    count = int(now.data.split()[0])
    if count == int(sys.argv[3]):
        break
    try:
        store.put_if_match("counter", f"{count + 1} {me}".encode(), now.etag)
        won.append(count + 1)
    except PreconditionFailed:
        pass
print(*won)
"""

_CLAIM = """
import sys
from runstart.storage import PreconditionFailed, open_store
store, me = open_store(sys.argv[1]), sys.argv[2]
store.head("x"); print("ready", flush=True); sys.stdin.readline()
won = []
for number in range(int(sys.argv[3])):
    try:
        store.put_if_absent(f"claims/{number}", me.encode())
        won.append(number)
    except PreconditionFailed:
        pass
print(*won)
"""


def _race(backend: Backend, script: str, url: str, rounds: int) -> list[list[int]]:
    rivals = [_process(backend, script, url, name, str(rounds)) for name in ("one", "two")]
    for rival in rivals:
        assert rival.stdout is not None
        assert rival.stdout.readline() == "ready\n"
    won = []
    for rival in rivals:
        assert rival.stdin is not None
        rival.stdin.write("go\n")
        rival.stdin.flush()
    for rival in rivals:
        output, _ = rival.communicate(timeout=60)
        assert rival.returncode == 0
        won.append([int(word) for word in output.split()])
    return won


def test_of_two_processes_exactly_one_wins_each_version(backend: Backend) -> None:
    url, store = backend.make()
    store.put("counter", b"0 nobody")
    one, two = _race(backend, _COUNT_UP, url, 100)
    assert sorted(one + two) == list(range(1, 101))
    assert store.get("counter").data.startswith(b"100 ")


def test_of_two_processes_exactly_one_creates_each_object(backend: Backend) -> None:
    url, store = backend.make()
    one, two = _race(backend, _CLAIM, url, 60)
    assert sorted(one + two) == list(range(60))
    assert all(store.get(f"claims/{number}").data == b"one" for number in one)
    assert all(store.get(f"claims/{number}").data == b"two" for number in two)


_WRITE_ON = """
import itertools, sys
from runstart.storage import open_store
store = open_store(sys.argv[1])
etag = store.put("snapshot", bytes([0]) * 3_000_000)
print("ready", flush=True)
for number in itertools.count(1):
    data = bytes([number % 255]) * 3_000_000
    etag = store.put_if_match("snapshot", data, etag) if number % 2 else store.put("snapshot", data)
"""


@pytest.mark.faults
def test_a_writer_killed_at_any_instant_leaves_a_whole_object_and_no_lock(backend: Backend) -> None:
    chance = random.Random(7)
    url, store = backend.make()
    for _ in range(8 if not backend.environment else 3):
        writer = _process(backend, _WRITE_ON, url)
        assert writer.stdout is not None
        assert writer.stdin is not None
        assert writer.stdout.readline() == "ready\n"
        until = time.monotonic() + chance.uniform(0.0, 0.15)
        while time.monotonic() < until:
            _assert_whole(store.get("snapshot").data)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
        writer.stdin.close()
        _take_over(store)
        assert store.list() == ["snapshot"]


def _take_over(store: ObjectStore) -> None:
    for _ in range(3):
        stored = store.get("snapshot")
        _assert_whole(stored.data)
        try:
            store.put_if_match("snapshot", b"\xff" * 3_000_000, stored.etag)
        except PreconditionFailed:
            # A server may still carry out what the killed writer had sent in full.
            assert store.head("snapshot") != stored.etag
        else:
            return
    raise AssertionError("The dead writer's object keeps changing.")


def _assert_whole(data: bytes) -> None:
    assert data == data[:1] * 3_000_000


def test_a_url_names_the_same_store(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in backend.environment.items():
        monkeypatch.setenv(name, value)
    url, store = backend.make()
    store.put("a/b", b"1")
    assert open_store(url).get("a/b") == store.get("a/b")
