"""Tiny operators for tests of sessions, the plans that wire them, and a reporter that remembers.

Numbers go from a source through workers to a sink, which appends each to a file at once: so what came out is known
whoever is killed.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import textwrap
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from left_behind import left_behind
from waiting import wait_until

from runstart.launchers import Isolation, SubprocessLauncher
from runstart.pipelines import Link, Plan, Stage
from runstart.sessions import (
    OperatorStatus,
    Published,
    SessionFailed,
    SessionOrder,
    SessionOutcome,
    SessionSettings,
    SessionStatus,
    new_session_id,
    send_command,
)
from runstart.sessions.folders import find_session_folders
from runstart.sessions.runner import run_session
from runstart.specifications import OperatorSpec, check_values
from runstart.storage import FileStore, ObjectStore

LAUNCHER = SubprocessLauncher(Isolation("fault isolation only"))

_HEAD = """
import os, signal, sys, time
from pathlib import Path
from runstart.operators import (
    DATA_DIRECTORY, BytesMessage, EndOfStream, MessageHeader, dependencies, on_finish, operator, publish,
)

def message(number, size=0):
    return BytesMessage(MessageHeader(), str(number).encode().ljust(size))
"""

SOURCE = """
sent = 0

@operator
def source(inputs, parameters):
    global sent
    if sent >= parameters["count"]:
        raise EndOfStream
    sent += 1
    time.sleep(parameters["pause_ms"] / 1000)
    return message(sent - 1, parameters["size"])
"""

# `at` is the number on which something happens.
WORK = """
@operator
def work(inputs, parameters):
    number = int(bytes(inputs.data))
    time.sleep(parameters["pause_ms"] / 1000)
    if number == parameters["at"]:
        does = parameters["does"]
        if does == "raise":
            raise ValueError(f"{number} is poison")
        if does == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if does == "hang":
            time.sleep(3600)
        if does == "stand still":
            os.kill(os.getpid(), signal.SIGSTOP)
        if does == "eat":
            hoard = []
            while True:
                hoard.append(b"x" * (1 << 22))
                time.sleep(0.005)
        if does == "exit":
            os._exit(0)
    return message(number + parameters["add"])
"""

SINK = """
@operator
def sink(inputs, parameters):
    time.sleep(parameters["pause_ms"] / 1000)
    with (DATA_DIRECTORY / "output_dir" / parameters["name"]).open("ab") as file:
        file.write(bytes(inputs.data) + b"\\n")
"""

_WHOLE: dict[str, Any] = {"type": "int", "default": 0}
PARAMETERS: dict[str, dict[str, Any]] = {
    "count": _WHOLE,
    "pause_ms": _WHOLE,
    "size": _WHOLE,
    "add": _WHOLE,
    "at": {"type": "int", "default": -1},
    "does": {"type": "str", "default": ""},
    "name": {"type": "str", "default": "numbers"},
    "output_dir": {"type": "mount", "default": ""},
    "input_file": {"type": "mount", "default": ""},
}


@dataclass
class Remembering:
    """A reporter that remembers what it was told, and acts on it."""

    logs: list[str] = field(default_factory=list)
    statuses: list[SessionStatus] = field(default_factory=list)
    outputs: list[Published] = field(default_factory=list)
    on_status: Callable[[SessionStatus], None] = lambda status: None

    def log(self, text: str) -> None:
        self.logs.append(text)

    def status(self, status: SessionStatus) -> None:
        self.statuses.append(status)
        self.on_status(status)

    def published(self, published: Published) -> None:
        self.outputs.append(published)

    @property
    def text(self) -> str:
        return "\n".join(self.logs)


class House:
    """Operators in a folder, and sessions of them.

    Parameters
    ----------
    folder : Path
        Empty.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.out = folder / "out"
        self.out.mkdir()
        self.store: ObjectStore = FileStore(folder / "store")
        self.reporter = Remembering()
        self.session_id = new_session_id()
        self.settings = SessionSettings(
            reservations=folder / "reservations",
            reserved_memory_bytes=1 << 20,
            still_s=0.4,
            grace_s=2.0,
            show_s=0.2,
            restart_delay_s=0.1,
            command_poll_s=0.05,
        )

    def stage(
        self,
        name: str,
        code: str,
        values: Mapping[str, Any] | None = None,
        *,
        inputs: Sequence[str] = (),
        outputs: Sequence[str] = (),
        replicas: int = 1,
        triggers: Sequence[str] = (),
    ) -> Stage:
        """Write an operator's folder, and return its stage."""
        folder = self.folder / "operators" / name
        folder.mkdir(parents=True)
        (folder / "run.py").write_text(textwrap.dedent(_HEAD) + textwrap.dedent(code))
        text = {"label": "", "description": "", "required": False}
        spec = {
            "id": str(uuid4()),
            "label": name,
            "description": "For tests.",
            "image": f"test/{name}",
            "inputs": [{"name": port, "type": "bytes", "label": "", "description": ""} for port in inputs],
            "outputs": [{"name": port, "type": "bytes", "label": "", "description": ""} for port in outputs],
            "parameters": [{"name": key, **text, **parameter} for key, parameter in PARAMETERS.items()],
            "triggers": [
                {"name": trigger, "label": "", "mode": "drain" if trigger == "all" else "single"}
                for trigger in triggers
            ],
        }
        (folder / "operator.json").write_text(json.dumps(spec))
        parsed = OperatorSpec.model_validate(spec)
        self.settings = replace(self.settings, operators={**self.settings.operators, name: folder})
        return Stage(name, uuid4(), parsed, name, replicas, check_values(parsed, values or {}, name))

    def change(self, **settings: Any) -> None:
        """Change settings of the sessions here."""
        self.settings = replace(self.settings, **settings)

    def source(self, count: int, **values: Any) -> Stage:
        return self.stage("source", SOURCE, {"count": count, **values}, outputs=["out"])

    def work(self, *, replicas: int = 1, name: str = "work", code: str = WORK, **values: Any) -> Stage:
        return self.stage(name, code, values, inputs=["in"], outputs=["out"], replicas=replicas)

    def sink(self, *, name: str = "sink", **values: Any) -> Stage:
        return self.stage(name, SINK, {"output_dir": str(self.out), "name": name, **values}, inputs=["in"])

    def run(self, plan: Plan, **order: Any) -> SessionOutcome:
        """Run a plan; afterwards nothing is left, however it has ended."""
        try:
            return run_session(
                SessionOrder(self.session_id, plan, **order), LAUNCHER, self.store, self.settings, self.reporter
            )
        finally:
            self.assert_nothing_is_left()

    def once(self, is_time: Callable[[dict[str, OperatorStatus]], bool], act: Callable[[], object]) -> None:
        """Do something at the first status of which the operators are as told."""
        done: list[bool] = []

        def look(status: SessionStatus) -> None:
            operators = {operator.name: operator for operator in status.operators}
            if status.state in {"running", "draining"} and not done and is_time(operators):
                done.append(True)
                act()

        self.reporter.on_status = look

    def numbers(self, name: str = "sink") -> list[int]:
        """Return what a sink has got."""
        file = self.out / name
        return [int(line) for line in file.read_text().split()] if file.exists() else []

    def assert_all_counted(self, failed: SessionFailed, count: int, *, written_as_it_died: int = 0) -> None:
        """Every number is in the sink's file, or was counted as lost or broken, and none is there twice.

        A sink that is killed may have written a number of which it could not say any more that it was done.
        """
        got = self.numbers()
        assert len(set(got)) == len(got)
        together = len(got) + failed.outcome.lost + failed.outcome.dead_letters
        assert count <= together <= count + written_as_it_died

    def assert_nothing_is_left(self) -> None:
        assert left_behind() == []
        assert [folder for folder in find_session_folders() if folder.session_id == self.session_id] == []
        assert not (self.folder / "reservations" / f"{self.session_id}.json").exists()
        wait_until(lambda: not _session_threads(), "the end of the session's threads", timeout=10)


class Going:
    """A session that runs in a thread."""

    def __init__(self, house: House, plan: Plan, **order: Any) -> None:
        self._house = house
        self.outcome: SessionOutcome | None = None
        self.failed: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(plan,), kwargs=order)
        self._thread.start()

    def _run(self, plan: Plan, **order: Any) -> None:
        try:
            self.outcome = self._house.run(plan, **order)
        except BaseException as problem:  # noqa: BLE001 - the test looks at it
            self.failed = problem

    def say(self, command: str, **rest: Any) -> tuple[str, str]:
        answer = send_command(self._house.store, self._house.session_id, {"command": command, **rest}, 30)
        return answer["status"], answer["message"]

    def break_off(self) -> None:
        """End it at once, if it has not ended."""
        if self._thread.is_alive():
            self.say("stop", now=True)
            self._thread.join(60)

    def end(self) -> SessionOutcome:
        self._thread.join(60)
        if self.failed is not None:
            raise self.failed
        assert self.outcome is not None
        return self.outcome


@contextmanager
def going(house: House, plan: Plan, **order: Any) -> Iterator[Going]:
    """Run a session, at most until the block ends."""
    one = Going(house, plan, **order)
    try:
        yield one
    finally:
        one.break_off()


def _session_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("session ")]


def line(*stages: Stage) -> Plan:
    """Wire stages one behind the other."""
    links = [Link(a.name, "out", b.name, "in") for a, b in itertools.pairwise(stages)]
    return Plan("a line", stages, tuple(links))


def processes_of(house: House, stage: str, replica: int = 0) -> list[int]:
    """Return the processes of a replica, found by what they were told."""
    order = f'"session": "{house.session_id}", "operator": "{stage}", "replica": {replica},'.encode()
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            environment = (path / "environ").read_bytes()
        except OSError:
            continue
        if order in environment:
            found.append(int(path.name))
    return found


def kill_operator(house: House, stage: str, replica: int = 0) -> None:
    """Kill a replica's process with SIGKILL, as soon as it is there."""
    for process in wait_until(lambda: processes_of(house, stage, replica), f"a process of {stage}"):
        os.kill(process, signal.SIGKILL)
