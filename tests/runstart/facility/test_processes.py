"""Servers of ours: they start, say why they did not, and never outlive us."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from runstart.errors import Alert, Transient
from runstart.facility import Server, accepts_connections, free_port

_LISTEN = """
import socket, sys, time
print("listening", flush=True)
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    server.accept()[0].close()
"""


class _Listener(Server):
    name = "listener"

    def __init__(self, data_dir: Path, script: str = _LISTEN, start_timeout: float = 20.0) -> None:
        super().__init__(data_dir, start_timeout)
        self.port = free_port()
        self._script = script

    def _command(self) -> list[str]:
        return [sys.executable, "-c", self._script, str(self.port)]

    def _is_ready(self) -> bool:
        return accepts_connections(self.port)


def test_a_server_answers_while_its_context_lasts(tmp_path: Path) -> None:
    with _Listener(tmp_path / "a" / "b") as server:
        assert server.running
        assert accepts_connections(server.port)
    assert not server.running
    assert not accepts_connections(server.port)


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_server_starts_again_on_its_port(tmp_path: Path, end: str) -> None:
    with _Listener(tmp_path) as server:
        port, pid = server.port, server.pid
        getattr(server, end)()
        assert not accepts_connections(port)
        server.start()
        assert accepts_connections(port)
        assert (server.port, server.pid) != (port, pid)


def test_starting_and_stopping_may_be_repeated(tmp_path: Path) -> None:
    server = _Listener(tmp_path)
    server.stop()
    server.kill()
    server.start()
    pid = server.pid
    server.start()
    assert server.pid == pid
    server.stop()
    server.stop()
    with pytest.raises(Alert, match="not running"):
        _ = server.pid


def test_a_server_that_ends_at_once_shows_its_log(tmp_path: Path) -> None:
    server = _Listener(tmp_path, "import sys; sys.exit('the port is cursed')")
    with pytest.raises(Alert, match=r"ended with status 1(.|\n)*the port is cursed"):
        server.start()
    assert not server.running


def test_a_server_that_does_not_answer_is_killed_and_shows_its_log(tmp_path: Path) -> None:
    script = "import time; print('thinking', flush=True); time.sleep(60)"
    server = _Listener(tmp_path, script, start_timeout=1.0)
    with pytest.raises(Transient, match=r"did not answer within 1 s(.|\n)*thinking"):
        server.start()
    assert not server.running


def test_a_program_that_does_not_exist_is_told(tmp_path: Path) -> None:
    class Nonsense(_Listener):
        def _command(self) -> list[str]:
            return ["no-such-program-of-ours"]

    with pytest.raises(Alert, match="no-such-program-of-ours"):
        Nonsense(tmp_path).start()


def test_a_server_that_ignores_the_request_to_end_is_killed(tmp_path: Path) -> None:
    server = _Listener(tmp_path, "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + _LISTEN)
    server.stop_patience = 0.2
    server.start()
    pid = server.pid
    server.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.faults
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent died")
def test_a_server_does_not_outlive_a_killed_parent(tmp_path: Path) -> None:
    script = (
        "import pathlib, sys, time\n"
        "from runstart.facility import EmbeddedBroker\n"
        "server = EmbeddedBroker(pathlib.Path(sys.argv[1]))\n"
        "server.start()\n"
        "print(server.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 20
    while _alive(pid):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _alive(pid: int) -> bool:
    try:
        # An orphan that nobody waits for stays as a zombie where there is no init process.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_free_ports_are_distinct_and_not_ephemeral() -> None:
    ports = [free_port() for _ in range(50)]
    assert len(set(ports)) == 50
    assert all(15_000 <= port < 32_000 for port in ports)
