"""Finds the strongest level of isolation that this system allows, by trying: nothing is believed unseen.

A probe runs at each level, strongest first. It counts only if the probe can work in its own folder, and cannot
read a file outside or open a network connection to a server that listens here.
"""

from __future__ import annotations

import socket
import sys
import tempfile
from functools import cache
from pathlib import Path

from runstart.launchers.isolation import LEVELS, Isolation, bubblewrap
from runstart.launchers.launcher import LaunchSpec, Limits, Mount
from runstart.launchers.subprocess_launcher import SubprocessLauncher

_PROBE_S = 30.0
_GRACE_S = 30.0  # for the process that watches it
_CONFINED = "this process is confined"
_PROBE = f"""
import socket, sys
open(sys.argv[1] + "/written", "w").write("yes")
def fails(action):
    try:
        action()
    except OSError:
        return True
    return False
kept_out = fails(lambda: open(sys.argv[2]))
cut_off = fails(lambda: socket.create_connection(("127.0.0.1", int(sys.argv[3])), 5).close())
print("{_CONFINED}" if kept_out and cut_off else "this process is free")
"""


@cache
def find_isolation() -> Isolation:
    """Return the strongest level of isolation that works here; tried once in a process."""
    for name in LEVELS[:-1]:
        isolation = Isolation(name)
        if is_available(isolation):
            return isolation
    return Isolation(LEVELS[-1])


def is_available(isolation: Isolation) -> bool:
    """Return whether a level really confines a process here; the last level confines nothing and is always there."""
    if isolation.name == LEVELS[-1]:
        return True
    if isolation.name == "namespaces" and bubblewrap() is None:
        return False
    launcher = SubprocessLauncher(isolation)
    with (
        tempfile.TemporaryDirectory(prefix="runstart-probe-") as inside,
        tempfile.TemporaryDirectory(prefix="runstart-probe-") as outside,
        socket.create_server(("127.0.0.1", 0)) as server,
    ):
        secret = Path(outside) / "secret"
        secret.write_text("outside")
        port = str(server.getsockname()[1])
        spec = LaunchSpec(
            command=(sys.executable, "-I", "-S", "-c", _PROBE, inside, str(secret), port),
            name="isolation probe",
            mounts=(Mount(Path(inside), "/probe", writable=True),),
            limits=Limits(seconds=_PROBE_S),
            confined=True,
        )
        task = launcher.start(spec)
        try:
            ended = launcher.wait(task, _PROBE_S + _GRACE_S)
            return ended is not None and ended.exit_code == 0 and launcher.logs(task).strip() == _CONFINED
        finally:
            launcher.remove(task)
