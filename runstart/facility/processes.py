"""Servers that tests and the demonstration start are real ones, on loopback, and never outlive us.

Each runs in a session of its own with a log file in its data folder, keeps its ports when it is started again,
and is killed by the kernel when the process that started it dies.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Self

from runstart.errors import Alert, Transient

LOOPBACK = "127.0.0.1"
"""The address at which servers listen, unless told otherwise."""
# Below the range from which the kernel takes ports for connections: a stopped server's port stays free.
_PORTS = range(15_000, 32_000)
_handed_out: set[int] = set()

# The kernel sends SIGKILL to a process whose parent's starting thread ends; the exec keeps the process id.
_DIE_WITH_PARENT = """
import os, sys
if sys.platform == "linux":
    import ctypes
    if ctypes.CDLL(None, use_errno=True).prctl(1, 9, 0, 0, 0) != 0:
        sys.exit("prctl: " + os.strerror(ctypes.get_errno()))
    if os.getppid() != int(sys.argv[1]):
        sys.exit("The process that started this one has ended.")
try:
    os.execvp(sys.argv[2], sys.argv[2:])
except OSError as error:
    sys.exit(f"{sys.argv[2]}: {error.strerror}")
"""


def free_port() -> int:
    """Return a loopback TCP port that nothing listens on and that this process has not been given before.

    Returns
    -------
    int
        The port's number, outside the range of the kernel's ephemeral ports.

    Raises
    ------
    Transient
        If no free port was found.
    """
    for port in random.SystemRandom().sample(_PORTS, 200):
        if port in _handed_out:
            continue
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
        _handed_out.add(port)
        return port
    raise Transient("No free TCP port was found on the loopback address.")


def dying_with_us(command: list[str]) -> list[str]:
    """Wrap a command so that the kernel kills it when the thread that starts it has ended.

    Parameters
    ----------
    command : list of str
        The program, found on the path, and its arguments.

    Returns
    -------
    list of str
        A command with the same process id, input, output and exit status. Outside Linux it just runs the program.
    """
    return [sys.executable, "-I", "-S", "-c", _DIE_WITH_PARENT, str(os.getpid()), *command]


class Server(ABC):
    """A server process of ours: a context manager that starts it, waits until it answers, and stops it.

    A server must be started from a thread that outlives it, since the kernel kills it with that thread.

    Parameters
    ----------
    data_dir : Path
        Folder of the server's data and log; made if missing. What a server wrote is there when it starts again.
    start_timeout : float, optional
        Seconds that the server may take until it answers.
    """

    name: str = "server"
    stop_patience: float = 15.0

    def __init__(self, data_dir: Path, start_timeout: float = 60.0) -> None:
        self.data_dir = Path(data_dir).resolve()
        self.start_timeout = start_timeout
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log_path(self) -> Path:
        """The file to which the server's output goes."""
        return self.data_dir / f"{self.name}.log"

    @property
    def pid(self) -> int:
        """The process id of the running server; raises `Alert` when it is not running."""
        if self._process is None or self._process.poll() is not None:
            raise Alert(f"{self.name} is not running.", "Start it first.")
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the server's process is alive."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the server on its ports and data, and wait until it answers.

        Raises
        ------
        Alert
            If the server ended at once; the text has the end of its log.
        Transient
            If it did not answer in time; it has been killed then.
        """
        if self.running:
            return
        self.data_dir.mkdir(parents=True, exist_ok=True)
        self._prepare()
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                dying_with_us(self._command()),
                cwd=self.data_dir,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            self._wait_until_ready()
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """Ask the server to end, and kill it if it has not done so within its patience."""
        if self._process is None:
            return
        self._signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(self.stop_patience)
        self.kill()

    def kill(self) -> None:
        """Kill the server as a power cut would (SIGKILL to its whole session)."""
        if self._process is None:
            return
        self._signal(signal.SIGKILL)
        self._process.wait()
        self._process = None
        self._tidy()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    @abstractmethod
    def _command(self) -> list[str]:
        """Return the command line."""

    @abstractmethod
    def _is_ready(self) -> bool:
        """Tell whether the server answers; must return within a second or so and not raise."""

    def _prepare(self) -> None:  # noqa: B027 - most servers need nothing before their start
        """Make what the server needs in its data folder before each start."""

    def _tidy(self) -> None:  # noqa: B027 - most servers leave nothing outside their data folder
        """Remove what the server leaves outside its data folder; called after each end."""

    def _wait_until_ready(self) -> None:
        assert self._process is not None  # noqa: S101 - set by the only caller
        deadline = time.monotonic() + self.start_timeout
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                what = f"{self.name} ended with status {self._process.returncode} instead of starting."
                raise Alert(what, f"The end of its log:\n{self._log_tail()}")
            if self._is_ready():
                return
            time.sleep(0.03)
        raise Transient(
            f"{self.name} did not answer within {self.start_timeout:g} s. The end of its log:\n{self._log_tail()}"
        )

    def _log_tail(self) -> str:
        return self.log_path.read_bytes()[-4000:].decode(errors="replace")

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None  # noqa: S101 - set by every caller
        if self._process.poll() is None:
            os.killpg(self._process.pid, number)


def accepts_connections(port: int, host: str = LOOPBACK) -> bool:
    """Tell whether something listens on a port of this machine.

    Parameters
    ----------
    port : int
        TCP port.
    host : str, optional
        Which of its addresses.

    Returns
    -------
    bool
        True if a connection was accepted.
    """
    try:
        with socket.create_connection((host, port), timeout=1.0):
            return True
    except OSError:
        return False
