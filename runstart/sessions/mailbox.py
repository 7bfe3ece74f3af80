"""Commands to a session that runs, by way of the object store: whoever may write the store may command.

A command is an object under `sessions/<id>/commands/`; the session takes it, removes it, and answers under the same
name in `replies/`. Names rise with time, so that commands are obeyed in order.
"""

from __future__ import annotations

import json
import queue
import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runstart.errors import Alert, Transient
from runstart.sessions.records import session_key
from runstart.storage import ObjectMissing

if TYPE_CHECKING:
    from runstart.storage import ObjectStore

_LARGEST = 1 << 20
_JOIN_S = 5.0


@dataclass(frozen=True)
class Command:
    """What somebody wants a session to do.

    Attributes
    ----------
    number : str
        Under which it is answered.
    content : dict
        `command` and what belongs to it; empty if it could not be read.
    """

    number: str
    content: dict[str, Any]


def commands_prefix(session_id: str) -> str:
    """Return where a session's commands lie in the store."""
    return session_key(session_id, "commands") + "/"


def reply_key(session_id: str, number: str) -> str:
    """Return where the answer to a command lies in the store."""
    return session_key(session_id, "replies", f"{number}.json")


def encode_reply(status: str, message: str) -> bytes:
    """Return an answer, `ok` or `error`, as it is stored."""
    return json.dumps({"status": status, "message": message}).encode()


def send_command(
    store: ObjectStore, session_id: str, command: Mapping[str, Any], timeout_s: float = 30.0
) -> dict[str, Any]:
    """Give a command to a session and wait for its answer.

    Parameters
    ----------
    store : ObjectStore
        The session's.
    session_id : str
        Its name.
    command : mapping of str to Any
        `command` (`set`, `trigger`, `restart` or `stop`) and what belongs to it.
    timeout_s : float, optional
        How long to wait for the answer.

    Returns
    -------
    dict of str to Any
        `status` (`ok` or `error`) and `message`.

    Raises
    ------
    Alert
        If no answer comes; the command is withdrawn if the session has not taken it.
    """
    number = f"{time.time_ns():020d}-{secrets.token_hex(4)}"
    key = f"{commands_prefix(session_id)}{number}.json"
    store.put(key, json.dumps(dict(command)).encode())
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        try:
            answer = json.loads(store.get(reply_key(session_id, number)).data)
        except ObjectMissing:
            time.sleep(0.1)
            continue
        store.delete(reply_key(session_id, number))
        return dict(answer)
    was_taken = store.head(key) is None
    store.delete(key)
    if was_taken:
        raise Alert(
            f"Session {session_id} has taken the command but not answered within {timeout_s:g} s.",
            "See its log for what it does.",
        )
    raise Alert(f"Session {session_id} has not taken the command within {timeout_s:g} s.", "See whether it runs.")


class Mailbox:
    """Fetches the commands to a session, in a thread of its own.

    Parameters
    ----------
    store : ObjectStore
        The session's.
    session_id : str
        Its name.
    poll_s : float
        Time between two looks.
    """

    def __init__(self, store: ObjectStore, session_id: str, poll_s: float) -> None:
        self._store = store
        self._prefix = commands_prefix(session_id)
        self._poll_s = poll_s
        self._commands: queue.SimpleQueue[Command] = queue.SimpleQueue()
        self._troubles: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._trouble = ""
        self._ending = threading.Event()
        # A daemon: a store that hangs must not keep the process from ending.
        self._thread = threading.Thread(target=self._poll, name="session mailbox", daemon=True)
        self._thread.start()

    def take(self) -> list[Command]:
        """Return the commands that have come since the last call."""
        return _all_of(self._commands)

    def troubles(self) -> list[str]:
        """Return why commands could not be fetched, since the last call."""
        return _all_of(self._troubles)

    def close(self) -> list[Command]:
        """End looking, after one last look; return what came meanwhile."""
        self._ending.set()
        self._thread.join(_JOIN_S)
        return self.take()

    def _poll(self) -> None:
        while not self._ending.wait(self._poll_s):
            self._look()
        self._look()

    def _look(self) -> None:
        try:
            for key in self._store.list(self._prefix):
                self._fetch(key)
        except (Alert, Transient, OSError) as problem:
            if str(problem) != self._trouble:
                self._trouble = str(problem)
                self._troubles.put(self._trouble)

    def _fetch(self, key: str) -> None:
        try:
            data = self._store.get(key).data
        except ObjectMissing:
            return  # it was withdrawn
        self._store.delete(key)
        number = key.removeprefix(self._prefix).removesuffix(".json")
        self._commands.put(Command(number, _read(data)))


def _read(data: bytes) -> dict[str, Any]:
    if len(data) > _LARGEST:
        return {}
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _all_of(waiting: queue.SimpleQueue[Any]) -> list[Any]:
    taken = []
    while not waiting.empty():
        taken.append(waiting.get())
    return taken
