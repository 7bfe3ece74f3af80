"""What others see of a probe session, and how they reach it: its record, its status each second, the command to stop."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from runstart.sessions.keeping import Keeper
from runstart.sessions.mailbox import Mailbox, encode_reply, reply_key
from runstart.sessions.records import encode_record, ended_record, session_key
from runstart.sessions.status import SessionStatus

if TYPE_CHECKING:
    from runstart.probe_sessions.members import Member
    from runstart.probe_sessions.programs import Program
    from runstart.sessions.records import SessionRecord, State
    from runstart.sessions.status import SessionReporter
    from runstart.storage import ObjectStore

_SHOW_S = 1.0
_CLOSE_S = 20.0


class SessionBook:
    """Keeps what is known of one session; a store that is slow holds up nothing.

    Parameters
    ----------
    store : ObjectStore
        Has the record already.
    record : SessionRecord
        As it was written.
    reporter : SessionReporter
        Is told.
    stop : callable
        Whether the session is to end.
    command_poll_s : float
        Time between two looks for commands.
    """

    def __init__(
        self,
        store: ObjectStore,
        record: SessionRecord,
        reporter: SessionReporter,
        stop: Callable[[], bool],
        command_poll_s: float,
    ) -> None:
        self.record = record
        self._reporter, self._stop = reporter, stop
        self._keeper, self._mailbox = Keeper(store), Mailbox(store, record.session_id, command_poll_s)
        self._began_at = time.monotonic()
        self._shown_at = -_SHOW_S
        self._shown: dict[Program, Mapping[str, int]] = {}
        self._is_stopped = False

    def log(self, text: str) -> None:
        """Tell a sentence."""
        self._reporter.log(text)

    def change(self, **changes: Any) -> None:
        """Change fields of the record."""
        self.record = replace(self.record, **changes)
        key = session_key(self.record.session_id, "record.json")
        self._keeper.put(key, encode_record(self.record), is_urgent=True)

    def wait_for_room(self, reason: str) -> bool:
        """Show why the session has to wait; return whether it is still wanted."""
        self.explain(reason)
        self.show({})
        return not self.is_stopped()

    def explain(self, reason: str) -> None:
        """Have everybody know why the session waits; empty if it does not."""
        if reason != self.record.reason:
            self.change(reason=reason)
            if reason:
                self.log(reason)

    def is_stopped(self) -> bool:
        """Return whether the session is to end; commands are answered."""
        for command in self._mailbox.take():
            if command.content.get("command") == "stop":
                self._is_stopped = True
                self._answer(command.number, "ok", "The session ends.")
            else:
                self._answer(command.number, "error", "A probe session can only be told to stop.")
        self._is_stopped = self._is_stopped or self._stop()
        return self._is_stopped

    def show(self, members: Mapping[Program, Member], end: State | None = None) -> None:
        """Show how the programs stand, if a second has passed since the last time or this is the end."""
        at = time.monotonic()
        seconds = at - self._shown_at
        if seconds < _SHOW_S and end is None:
            return
        status = SessionStatus(
            session_id=self.record.session_id,
            name=self.record.name,
            state=end or self.record.state,
            reason=self.record.reason,
            seconds=at - self._began_at,
            operators=tuple(member.status(self._shown.get(name, {}), seconds) for name, member in members.items()),
            rates={},
            latency_ms={},
        )
        self._shown_at = at
        self._shown = {name: member.report.counts for name, member in members.items()}
        data = json.dumps({**status.as_dict(), "at": time.time()}).encode()
        self._keeper.put(session_key(self.record.session_id, "status.json"), data)
        for trouble in (*self._keeper.troubles(), *self._mailbox.troubles()):
            self.log(f"The store: {trouble}")
        self._reporter.status(status)

    def keep_nodes(self, members: Collection[Member]) -> None:
        """Write the tasks into the record, if something has changed."""
        nodes = tuple(member.node for member in members)
        if nodes != self.record.nodes:
            self.change(nodes=nodes)

    def close(self, state: State, reason: str) -> None:
        """Write that the session has ended, and wait for what is still to be written."""
        for command in self._mailbox.close():
            self._answer(command.number, "error", "The session has ended.")
        ended = ended_record(self.record, state, reason, time.time())
        self.change(state=ended.state, reason=ended.reason, ended_at=ended.ended_at, nodes=ended.nodes)
        if unwritten := self._keeper.close(_CLOSE_S):
            self.log(f"{unwritten} objects of this session were not written to the store.")
        for trouble in self._keeper.troubles():
            self.log(f"The store: {trouble}")

    def _answer(self, number: str, status: str, message: str) -> None:
        self._keeper.put(reply_key(self.record.session_id, number), encode_reply(status, message))
