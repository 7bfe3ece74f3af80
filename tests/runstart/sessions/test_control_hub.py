from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import zmq
from waiting import wait_until

from runstart.sessions.control_hub import ControlHub, Said
from runstart.sessions.doors import FileDoor, Sender

WORKER = Sender("work", 1, 2)


@pytest.fixture
def folder() -> Iterator[Path]:
    # Short: a socket's path has about 100 characters at most.
    with TemporaryDirectory() as name:
        yield Path(name)


@pytest.fixture
def hub(folder: Path) -> Iterator[ControlHub]:
    one = ControlHub(FileDoor(folder / "hub", open_to_all=False), {"work": 2})
    yield one
    one.close()


@pytest.fixture
def dealer(folder: Path, hub: ControlHub) -> Iterator[zmq.SyncSocket]:
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.setsockopt(zmq.IDENTITY, WORKER.identity)
        socket.setsockopt(zmq.LINGER, 0)
        socket.connect(f"ipc://{folder / 'hub'}")
        yield socket


def heard(hub: ControlHub, number: int) -> list[Said]:
    found: list[Said] = []

    def listen() -> bool:
        found.extend(hub.receive(0.05))
        return len(found) >= number

    wait_until(listen, f"{number} words", timeout=20)
    return found


def test_what_an_operator_says_comes_with_who_it_is_and_what_it_brings(
    hub: ControlHub, dealer: zmq.SyncSocket
) -> None:
    dealer.send_multipart([b'{"kind": "publish", "name": "x"}', b"\x00\xff", b""])

    (said,) = heard(hub, 1)

    assert said == Said(WORKER, "publish", {"kind": "publish", "name": "x"}, (b"\x00\xff", b""))


def test_garbage_is_counted_and_what_comes_after_it_is_heard(hub: ControlHub, dealer: zmq.SyncSocket) -> None:
    for garbage in ([b""], [b"{"], [b"\xff"], [b"[]"], [b"{}"], [b'{"kind": 7}'], [b"[" * 100_000]):
        dealer.send_multipart(garbage)
    dealer.send_multipart([b'{"kind": "ready"}'])

    assert [said.kind for said in heard(hub, 1)] == ["ready"]
    assert hub.garbage == 7


@pytest.mark.parametrize("name", [b"\x01", b"work", b"../0/0", b"other/0/0", b"work/2/0", b"work/-1/0"])
def test_peer_with_a_name_that_is_no_operators_is_garbage(folder: Path, hub: ControlHub, name: bytes) -> None:
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.setsockopt(zmq.IDENTITY, name)
        socket.connect(f"ipc://{folder / 'hub'}")
        socket.send_multipart([b'{"kind": "ready"}'])

        wait_until(lambda: not hub.receive(0.05) and hub.garbage == 1, "the garbage", timeout=20)


def test_word_reaches_its_operator_and_nobody_else_is_a_miss_not_an_error(
    hub: ControlHub, dealer: zmq.SyncSocket
) -> None:
    dealer.send_multipart([b'{"kind": "ready"}'])
    heard(hub, 1)

    assert hub.send(WORKER, {"kind": "start"})
    assert dealer.poll(20_000)
    assert json.loads(dealer.recv()) == {"kind": "start"}
    assert not hub.send(Sender("work", 1, 3), {"kind": "start"})


def test_socket_is_open_to_other_users_only_where_operators_are_other_users(folder: Path) -> None:
    for name, open_to_all in (("a", True), ("b", False)):
        hub = ControlHub(FileDoor(folder / name, open_to_all=open_to_all), {})
        mode = stat.S_IMODE((folder / name).stat().st_mode)
        hub.close()
        assert bool(mode & 0o002) == open_to_all
