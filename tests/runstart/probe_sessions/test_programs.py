"""The three programs, over real connections: with each other, with peers as edgeECHO's, and with bad ones."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from waiting import wait_until

from runstart.errors import Alert
from runstart.probe_sessions.__main__ import main
from runstart.probe_sessions.peers import HostUnknown, PeerGone, PeerUnreachable
from runstart.probe_sessions.programs import (
    Address,
    Program,
    Telling,
    run_probe,
    run_segmentation,
    run_streaming,
)
from runstart.probe_sessions.protocol import ProtocolError

HERE = "127.0.0.1"
HELLO = b'{"sender": "probe", "type": 3, "data": "You are connected to probe"};'
REPLY = b'{"sender": "streaming", "type": 3, "data": 1};'
LAST = b'{"sender": "probe", "type": 2, "data": 1};'
PATIENCE_S = 20.0


def numbered(count: int, sender: str = "probe") -> bytes:
    return b"".join(b'{"sender": "%s", "type": "1", "data": %d};' % (sender.encode(), n) for n in range(count))


class Said:
    """Takes the lines of a program."""

    def __init__(self, program: Program) -> None:
        self.lines: list[dict[str, Any]] = []
        self.telling = Telling(program, lambda line: self.lines.append(json.loads(line)))

    def port(self) -> int:
        wait_until(lambda: self.lines, "a word of the program", 10, 0.005)
        assert self.lines[0]["state"] == "listening"
        return int(self.lines[0]["port"])


class Programs:
    """Runs programs in threads."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool

    def probe(self, count: int, patience_s: float = PATIENCE_S) -> tuple[Future[int], Said]:
        said = Said("probe")
        return self._pool.submit(run_probe, Address(HERE, 0), count, said.telling, patience_s), said

    def streaming(
        self, port: int, *, segmented: bool = False, patience_s: float = PATIENCE_S
    ) -> tuple[Future[int], Said]:
        said = Said("streaming")
        at = Address(HERE, 0) if segmented else None
        return self._pool.submit(run_streaming, Address(HERE, port), at, said.telling, patience_s), said

    def segmentation(self, port: int, patience_s: float = PATIENCE_S) -> tuple[Future[int], Said]:
        said = Said("segmentation")
        return self._pool.submit(run_segmentation, Address(HERE, port), said.telling, patience_s), said


@pytest.fixture
def programs() -> Iterator[Programs]:
    with ThreadPoolExecutor() as pool:
        yield Programs(pool)


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server((HERE, 0)) as listening:
        listening.settimeout(PATIENCE_S)
        yield listening


def read_byte_by_byte(connection: socket.socket, until: Callable[[dict[str, Any]], bool]) -> bytes:
    """Read as edgeECHO's programs do: a byte at a time, an object at each `;`, until one that is the last."""
    everything = piece = b""
    while byte := connection.recv(1):
        everything += byte
        if byte != b";":
            piece += byte
            continue
        message = json.loads(piece.decode("ascii"))
        if until(message):
            break
        piece = b""
    return everything


def test_all_messages_arrive_in_the_plain_form(programs: Programs) -> None:
    probe, said = programs.probe(2345)
    streaming, heard = programs.streaming(said.port())
    assert (probe.result(), streaming.result()) == (2345, 2345)
    assert said.lines[-1] == {"program": "probe", "state": "done", "sent": 2345}
    assert heard.lines == [{"program": "streaming", "state": "done", "received": 2345, "forwarded": 0}]


def test_all_messages_arrive_in_the_segmented_form(programs: Programs) -> None:
    probe, said = programs.probe(2345)
    streaming, heard = programs.streaming(said.port(), segmented=True)
    segmentation, _ = programs.segmentation(heard.port())
    assert (probe.result(), streaming.result(), segmentation.result()) == (2345, 2345, 2345)
    assert heard.lines[-1] == {"program": "streaming", "state": "done", "received": 2345, "forwarded": 2345}


def test_the_probe_speaks_as_edgeechos_to_a_streaming_of_edgeecho(programs: Programs) -> None:
    probe, said = programs.probe(3)
    with socket.create_connection((HERE, said.port()), PATIENCE_S) as connection:
        connection.sendall(REPLY)
        heard = read_byte_by_byte(connection, lambda message: bool(message["type"] == 2))
    assert probe.result() == 3
    assert heard == HELLO + numbered(3) + LAST


def test_streaming_speaks_as_edgeechos_to_a_probe_and_a_segmentation_of_edgeecho(
    programs: Programs, server: socket.socket
) -> None:
    streaming, said = programs.streaming(server.getsockname()[1], segmented=True)
    connection, _ = server.accept()
    with connection:
        connection.sendall(HELLO)
        connection.settimeout(0.2)
        # It answers only when segmentation has come.
        with pytest.raises(TimeoutError):
            connection.recv(1)
        connection.settimeout(PATIENCE_S)
        with socket.create_connection((HERE, said.port()), PATIENCE_S) as segmentation:
            assert read_byte_by_byte(connection, lambda message: bool(message["type"] == 3)) == REPLY
            connection.sendall(numbered(2) + LAST)
            heard = read_byte_by_byte(segmentation, lambda message: bool(message["type"] == 2))
    assert streaming.result() == 2
    assert heard == (HELLO + numbered(2) + LAST).replace(b'"sender": "probe"', b'"sender": "streaming"')


def test_segmentation_takes_what_a_streaming_of_edgeecho_forwards(
    programs: Programs, server: socket.socket
) -> None:
    segmentation, _ = programs.segmentation(server.getsockname()[1])
    connection, _ = server.accept()
    with connection:
        for piece in (numbered(2, "streaming") + LAST).split(b","):
            connection.sendall(piece + (b"" if piece.endswith(b";") else b","))
    assert segmentation.result() == 2


def test_streaming_waits_for_a_probe_that_starts_later(programs: Programs) -> None:
    with socket.create_server((HERE, 0)) as taken:
        port = taken.getsockname()[1]
    streaming, _ = programs.streaming(port)
    time.sleep(0.15)
    said = Said("probe")
    assert run_probe(Address(HERE, port), 5, said.telling, PATIENCE_S) == 5
    assert streaming.result() == 5


def test_who_only_looks_whether_the_probe_is_there_is_passed_over(programs: Programs) -> None:
    probe, said = programs.probe(5)
    socket.create_connection((HERE, said.port()), PATIENCE_S).close()
    streaming, _ = programs.streaming(said.port())
    assert (probe.result(), streaming.result()) == (5, 5)


def test_garbage_in_place_of_the_answer_is_told(programs: Programs) -> None:
    probe, said = programs.probe(5)
    with socket.create_connection((HERE, said.port()), PATIENCE_S) as connection:
        connection.sendall(b"GET / HTTP/1.1; \r\n")
        with pytest.raises(ProtocolError, match=r"From Streaming: .*GET / HTTP"):
            probe.result()


@pytest.mark.parametrize("sent", [b'{"sender": ', numbered(2), b""])
def test_a_probe_that_goes_too_early_is_told(programs: Programs, server: socket.socket, sent: bytes) -> None:
    streaming, said = programs.streaming(server.getsockname()[1])
    connection, _ = server.accept()
    with connection:
        connection.sendall(HELLO + sent)
        connection.recv(len(REPLY))
    with pytest.raises(PeerGone, match="The probe has closed the connection"):
        streaming.result()
    said.telling.failed("gone")
    assert said.lines[-1]["received"] == sent.count(b";")


def test_a_streaming_that_goes_amid_the_messages_is_told(programs: Programs) -> None:
    probe, said = programs.probe(10_000_000)
    with socket.create_connection((HERE, said.port()), PATIENCE_S) as connection:
        connection.sendall(REPLY)
        connection.recv(1000)
    with pytest.raises(PeerGone, match="Streaming has closed the connection"):
        probe.result()


@pytest.mark.parametrize("missing", [1, 0])
def test_a_message_out_of_its_turn_is_told(programs: Programs, server: socket.socket, missing: int) -> None:
    segmentation, _ = programs.segmentation(server.getsockname()[1])
    connection, _ = server.accept()
    with connection:
        connection.sendall(numbered(3).replace(b'{"sender": "probe", "type": "1", "data": %d};' % missing, b""))
        with pytest.raises(ProtocolError, match=f"came where {missing} was due"):
            segmentation.result()


def test_a_peer_that_falls_silent_is_given_up(programs: Programs, server: socket.socket) -> None:
    segmentation, _ = programs.segmentation(server.getsockname()[1], patience_s=0.2)
    connection, _ = server.accept()
    with connection, pytest.raises(PeerGone, match=r"Streaming sends nothing for 0\.2 s"):
        segmentation.result()


def test_a_peer_that_takes_nothing_is_given_up(programs: Programs) -> None:
    probe, said = programs.probe(10_000_000, patience_s=0.3)
    with socket.create_connection((HERE, said.port()), PATIENCE_S) as connection:
        connection.sendall(REPLY)
        with pytest.raises(PeerGone, match=r"Streaming takes nothing for 0\.3 s"):
            probe.result()


def test_a_probe_to_which_nobody_comes_ends(programs: Programs) -> None:
    probe, _ = programs.probe(1, patience_s=0.2)
    with pytest.raises(PeerUnreachable, match="Streaming has not connected in time"):
        probe.result()


def test_a_probe_that_is_not_there_is_told_with_its_address(programs: Programs) -> None:
    with socket.create_server((HERE, 0)) as taken:
        port = taken.getsockname()[1]
    streaming, _ = programs.streaming(port, patience_s=0.2)
    with pytest.raises(PeerUnreachable, match=f"The probe at 127.0.0.1, port {port}, cannot be reached"):
        streaming.result()


def test_a_host_that_does_not_resolve_is_told_by_name() -> None:
    nowhere = Address("probe-0a1b2.invalid", 1234)
    with pytest.raises(HostUnknown, match=r"probe-0a1b2\.invalid' is not known"):
        run_streaming(nowhere, None, Said("streaming").telling, 0.2)
    with pytest.raises(HostUnknown, match="not known"):
        run_probe(nowhere, 1, Said("probe").telling, 0.2)
    with pytest.raises(HostUnknown, match="not known"):
        run_segmentation(Address("a" * 70, 1), Said("segmentation").telling, 0.2)


def test_a_port_that_is_taken_is_told(server: socket.socket) -> None:
    port = server.getsockname()[1]
    with pytest.raises(Alert, match=f"not possible to listen at 127.0.0.1, port {port}"):
        run_probe(Address(HERE, port), 1, Said("probe").telling)


PLAIN = {
    "probe_ip": HERE,
    "probe_port": "1",
    "stream_ip": HERE,
    "stream_port": "1",
    "plain_stream": "True",
    "count": "1",
}


@pytest.mark.parametrize(
    ("program", "change", "text"),
    [
        ("probe", {"count": "0"}, "count is '0'"),
        ("probe", {"count": "many"}, "count is 'many'"),
        ("probe", {"probe_ip": ""}, "probe_ip is not set"),
        ("streaming", {"probe_port": "70000"}, "probe_port is '70000'"),
        ("streaming", {"plain_stream": "perhaps"}, "plain_stream is 'perhaps'"),
        ("segmentation", {"stream_port": "-1"}, "stream_port is '-1'"),
    ],
)
def test_a_variable_that_is_wrong_is_told_by_name(
    capsys: pytest.CaptureFixture[str], program: str, change: Mapping[str, str], text: str
) -> None:
    assert main([program], {**PLAIN, **change}) == 1
    said = json.loads(capsys.readouterr().out)
    assert (said["program"], said["state"]) == (program, "failed")
    assert text in said["error"]


def test_without_a_program_the_choices_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([], {}) == main(["other"], {}) == 2
    assert "probe, streaming or segmentation" in capsys.readouterr().err


def test_the_programs_take_edgeechos_variables(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server((HERE, 0)) as first, socket.create_server((HERE, 0)) as second:
        ports = {"probe_port": str(first.getsockname()[1]), "stream_port": str(second.getsockname()[1])}
    told = {**PLAIN, **ports, "plain_stream": "False", "count": "700"}
    threads = [
        threading.Thread(target=main, args=([program], told)) for program in ("segmentation", "streaming", "probe")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    done = {one["program"]: one for one in said if one["state"] == "done"}
    assert (done["probe"]["sent"], done["streaming"]["forwarded"], done["segmentation"]["received"]) == (
        700,
        700,
        700,
    )
