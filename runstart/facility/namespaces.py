"""Namespaces of mounts, network and processes in which a server lives with all that it starts, and that take it along.

A first process holds them. When it is killed, or whoever started it, the kernel ends every process inside, and with the
last one go its network, its rules of the firewall and its mounts: nothing reaches this machine's own.
"""

from __future__ import annotations

import shlex
import signal
import subprocess
import time
from pathlib import Path

from runstart.errors import Alert, Transient
from runstart.facility.processes import dying_with_us
from runstart.host import is_alive

_PATIENCE_S = 10.0
_CONTROL_GROUPS = Path("/sys/fs/cgroup")


class Namespaces:
    """Namespaces of the superuser's, held from `start` to `kill`.

    Parameters
    ----------
    owner : str
        Whose they are, for errors.
    preparation : str
        A shell's text, carried out inside before `start` returns; an error ends it.
    init : str
        Path of the program that becomes the first process inside: it buries what nobody waits for (catatonit).
    """

    def __init__(self, owner: str, preparation: str, init: str) -> None:
        self._owner = owner
        self._preparation = preparation
        self._init = init
        self._holder: subprocess.Popen[bytes] | None = None

    @property
    def first(self) -> int:
        """The id of the first process inside, as seen from here.

        Raises
        ------
        Alert
            It was killed.
        """
        found = None if self._holder is None else _only_child(self._holder.pid)
        if found is None:
            raise Alert(
                f"The process that holds {self._owner}'s namespaces was killed.",
                f"Stop {self._owner}, and start it again.",
            )
        return found

    def start(self) -> None:
        """Make them, and return as soon as they are prepared.

        Raises
        ------
        Transient
            If that fails.
        """
        kinds = ["--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private"]
        text = f"set -e\n{self._preparation}\nexec {shlex.quote(self._init)} -- sleep infinity"
        command = ["unshare", *kinds, "sh", "-c", text]
        self._holder = subprocess.Popen(dying_with_us(command), stdin=subprocess.DEVNULL, start_new_session=True)
        deadline = time.monotonic() + _PATIENCE_S
        while time.monotonic() < deadline and self._holder.poll() is None:
            first = _only_child(self._holder.pid)
            if first is not None and _program(first) == self._init:
                return
            time.sleep(0.02)
        self.kill()
        raise Transient(f"The namespaces for {self._owner} could not be made; see what unshare printed.")

    def inside(self, command: list[str]) -> list[str]:
        """Wrap a command so that it runs inside.

        Parameters
        ----------
        command : list of str
            The program, found on the path inside, and its arguments.

        Raises
        ------
        Alert
            If the process that holds them was killed.
        """
        return inside(self.first, command)

    def kill(self) -> None:
        """End every process inside, and return when none is left; nothing if they are not held."""
        if self._holder is None:
            return
        first = _only_child(self._holder.pid)
        self._holder.send_signal(signal.SIGKILL)
        self._holder.wait()
        self._holder = None
        deadline = time.monotonic() + _PATIENCE_S
        # The kernel ends it only when every process inside is gone.
        while first is not None and is_alive(first, time.time()):
            if time.monotonic() > deadline:
                raise Transient(f"{self._owner}'s processes did not end within {_PATIENCE_S:g} s.")
            time.sleep(0.02)


def inside(process: int, command: list[str]) -> list[str]:
    """Wrap a command so that it runs in the namespaces of a process.

    Parameters
    ----------
    process : int
        Its id.
    command : list of str
        The program, found on the path there, and its arguments.
    """
    return ["nsenter", "--target", str(process), "--mount", "--net", "--pid", "--", *command]


def remove_control_groups(pattern: str) -> None:
    """Remove empty control groups, which stay when all that would have removed them has been killed.

    Parameters
    ----------
    pattern : str
        Which ones, with all below them, as `Path.glob` reads it: below the controllers' folders, or where there is one
        hierarchy only, below that.
    """
    for depth in ("", "*/"):
        for top in _CONTROL_GROUPS.glob(depth + pattern):
            for folder in (*sorted((path for path in top.rglob("*") if path.is_dir()), reverse=True), top):
                folder.rmdir()


def _only_child(process: int) -> int | None:
    try:
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    except FileNotFoundError:
        return None
    return int(children[0]) if children else None


def _program(process: int) -> str:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes().partition(b"\0")[0].decode()
    except FileNotFoundError:
        return ""
