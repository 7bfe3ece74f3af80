"""What tests of probe sessions and of the clean-up share: a reporter that remembers, and an engine made of lists."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from runstart.errors import Alert, Transient
from runstart.launchers import Ended, Launcher, LaunchSpec, ListedNetwork, ListedTask, Mount, Task
from runstart.sessions import Published, SessionSettings, SessionStatus, session_key
from runstart.storage import FileStore


@dataclass
class Remembering:
    """A reporter that remembers what it was told."""

    told: list[str] = field(default_factory=list)
    statuses: list[SessionStatus] = field(default_factory=list)

    def log(self, text: str) -> None:
        self.told.append(text)

    def status(self, status: SessionStatus) -> None:
        self.statuses.append(status)

    def published(self, published: Published) -> None:
        raise AssertionError(published)


def write_status(store: FileStore, session_id: str, status: Mapping[str, object], at: float | None = None) -> None:
    """Write a status as sessions do: with the time."""
    table = {**status, "at": time.time() if at is None else at}
    store.put(session_key(session_id, "status.json"), json.dumps(table).encode())


def session_settings(folder: Path, *, silence_s: float = 20.0, ready_s: float = 20.0) -> SessionSettings:
    """Return settings that share nothing with other sessions of this machine."""
    return SessionSettings(
        reservations=folder / "reservations",
        silence_s=silence_s,
        ready_s=ready_s,
        grace_s=0.5,
    )


class ListedEngine(Launcher):
    """An engine whose tasks and networks are in lists; `refuses` names what cannot be removed."""

    name = "containers"
    runs_images = True
    has_networks = True
    isolation = "none"

    def __init__(self) -> None:
        self.tasks: list[ListedTask] = []
        self.networks: list[ListedNetwork] = []
        self.refuses: set[str] = set()

    def add(self, name: str, labels: Mapping[str, str], started_at: float) -> None:
        self.tasks.append(ListedTask(Task(f"id-{name}", name), labels, started_at, is_running=True))

    def list(self, labels: Mapping[str, str]) -> Sequence[ListedTask]:
        return [task for task in self.tasks if labels.items() <= task.labels.items()]

    def remove(self, task: Task) -> None:
        if task.name in self.refuses:
            raise Transient("the engine is busy")
        self.tasks = [listed for listed in self.tasks if listed.task != task]

    def make_network(self, name: str, labels: Mapping[str, str]) -> None:
        self.networks.append(ListedNetwork(name, labels))

    def remove_network(self, name: str) -> None:
        self.networks = [network for network in self.networks if network.name != name]

    def list_networks(self, labels: Mapping[str, str]) -> Sequence[ListedNetwork]:
        return [network for network in self.networks if labels.items() <= network.labels.items()]

    def start(self, spec: LaunchSpec) -> Task:
        raise Alert(f"{spec.name} is not started here.")

    def wait(self, task: Task, timeout_s: float | None = None) -> Ended | None:
        raise NotImplementedError

    def logs(self, task: Task) -> str:
        raise NotImplementedError

    def stop(self, task: Task, grace_s: float = 0.0) -> None:
        raise NotImplementedError

    def fetch_image(self, image: str) -> None:
        """Every image is here."""

    def seen_at(self, mount: Mount, *, in_image: bool = False) -> str:
        raise NotImplementedError
