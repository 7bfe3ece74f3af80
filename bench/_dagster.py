"""Dagster's stock parts as processes of their own, for benchmarks of what people wait for."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from runstart.demo.children import Child, CodeServer, Daemon, UserInterface
from runstart.demo.place import Place
from runstart.errors import Transient
from runstart.facility import free_port

TIMEOUT_S = 120.0


def start_dagster(place: Place, environment: Mapping[str, str]) -> int:
    """Start webserver, daemon and code server, wait until they are ready, and return the webserver's port.

    Parameters
    ----------
    place : Place
        Their folders.
    environment : mapping of str to str
        What their environment says beyond ours.

    Raises
    ------
    Transient
        One ended, or is not ready in time.
    """
    code = CodeServer(place.data_dir / "code-server", environment, place.checkout)
    place.write_workspace(code.port)
    port = free_port()
    interface = UserInterface(place.data_dir / "webserver", environment, place.workspace_file, port)
    daemon = Daemon(place.data_dir / "daemon", environment, place.workspace_file, port)
    start_children(code)
    start_children(interface, daemon)
    return port


def start_children(*children: Child) -> None:
    """Start programs together, and wait until all are ready.

    Raises
    ------
    Transient
        One ended, or is not ready in time.
    """
    for child in children:
        child.start()
    for child in children:
        wait_for(partial(_is_ready, child), f"the {child.name}")


def wait_for(found: Callable[[], object], what: str) -> None:
    """Wait until something is there.

    Raises
    ------
    Transient
        It is not in time.
    """
    deadline = time.monotonic() + TIMEOUT_S
    while not found():
        if time.monotonic() > deadline:
            raise Transient(f"Waited {TIMEOUT_S:g} s in vain for {what}.")
        time.sleep(0.2)


def percentile(values: Sequence[float], percent: int) -> float:
    """Return the smallest value that so many percent of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


def _is_ready(child: Child) -> bool:
    if not child.running:
        raise Transient(f"The {child.name} ended:\n{child.log_path.read_text(errors='replace')[-2000:]}")
    return child.ready
