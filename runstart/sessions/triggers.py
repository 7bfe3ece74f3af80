"""Triggers: pulled by the order or by a command, worked through by every replica of an operator, and answered once.

Those of the order are pulled one after the other, so that each sees what the one before has done.
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runstart.errors import Alert

if TYPE_CHECKING:
    from runstart.pipelines import Plan
    from runstart.sessions.doors import Sender


@dataclass
class _Pulled:
    """A trigger that is being worked through."""

    stage: str
    trigger: str
    answer: Callable[[str, str], None]
    waiting: set[Sender]
    errors: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)


def check_trigger(plan: Plan, stage: str, trigger: str) -> None:
    """Raise an Alert that names what there is, if there is no such stage or trigger."""
    for found in plan.stages:
        if found.name == stage:
            names = [one.name for one in found.spec.triggers]
            if trigger in names:
                return
            known = f"It has {', '.join(names)}." if names else "It has none."
            raise Alert(f"{stage} has no trigger {trigger!r}.", known)
    raise Alert(f"There is no operator {stage!r}.", f"There are {', '.join(found.name for found in plan.stages)}.")


class Triggers:
    """All triggers of a session.

    Parameters
    ----------
    ordered : iterable of (str, str)
        Stage and trigger of those in the order.
    send : callable
        Says something to a process; returns whether it could be reached.
    tell : callable
        Takes a sentence for people.
    """

    def __init__(
        self,
        ordered: Iterable[tuple[str, str]],
        send: Callable[[Sender, Mapping[str, Any]], bool],
        tell: Callable[[str], None],
    ) -> None:
        self._ordered = deque(ordered)
        self._send, self._tell = send, tell
        self._pulled: dict[str, _Pulled] = {}
        self._current: str | None = None
        self.errors: list[str] = []

    @property
    def are_done(self) -> bool:
        """Whether all triggers of the order have been worked through."""
        return not self._ordered and self._current is None

    def are_left_for(self, stage: str) -> bool:
        """Whether triggers of the order for a stage have not been worked through."""
        current = self._pulled.get(self._current or "")
        return any(ordered == stage for ordered, _ in self._ordered) or (
            current is not None and current.stage == stage
        )

    def pull_next(self, receivers: Callable[[str], list[Sender]]) -> None:
        """Pull the next trigger of the order, if it is its turn and its operator is ready.

        Parameters
        ----------
        receivers : callable
            Returns the processes of a stage that are ready; empty if it is not.
        """
        if self._current is not None or not self._ordered:
            return
        stage, trigger = self._ordered[0]
        senders = receivers(stage)
        if senders:
            self._ordered.popleft()
            self._tell(f"Trigger {trigger} of {stage}.")
            # Before it is pulled: an answer may come at once.
            self._current = secrets.token_hex(8)
            self._pull(self._current, _Pulled(stage, trigger, self._end_ordered, set(senders)))

    def pull(self, stage: str, trigger: str, senders: list[Sender], answer: Callable[[str, str], None]) -> None:
        """Pull a trigger; `answer` gets `ok` or `error` and a message when it is done."""
        self._pull(secrets.token_hex(8), _Pulled(stage, trigger, answer, set(senders)))

    def heard(self, sender: Sender, content: Mapping[str, Any]) -> None:
        """Take what a process says of a trigger that it has worked through."""
        number = str(content.get("id"))
        if number in self._pulled:
            message = str(content.get("message") or "")
            self._end_of(number, sender, message, is_error=content.get("status") != "ok")

    def lost(self, sender: Sender) -> None:
        """Take note that a process has ended; the triggers that it was working through have failed."""
        for number in list(self._pulled):
            if sender in self._pulled[number].waiting:
                self._end_of(number, sender, "its process has ended meanwhile", is_error=True)

    def abandon(self, stages: set[str]) -> None:
        """Leave out the order's triggers of operators that have given up."""
        for stage, trigger in [item for item in self._ordered if item[0] in stages]:
            self._ordered.remove((stage, trigger))
            self.errors.append(f"Trigger {trigger} of {stage} was not pulled: the operator has given up.")

    def _pull(self, number: str, pulled: _Pulled) -> None:
        self._pulled[number] = pulled
        for sender in sorted(pulled.waiting, key=lambda one: one.replica):
            if not self._send(sender, {"kind": "trigger", "id": number, "name": pulled.trigger}):
                self._end_of(number, sender, "it cannot be reached", is_error=True)

    def _end_of(self, number: str, sender: Sender, message: str, *, is_error: bool) -> None:
        pulled = self._pulled[number]
        pulled.waiting.discard(sender)
        if is_error:
            pulled.errors.append(f"Trigger {pulled.trigger} of {pulled.stage}: {message}")
        elif message:
            pulled.messages.append(message)
        if not pulled.waiting:
            del self._pulled[number]
            if number == self._current:
                self._current = None
            status = "error" if pulled.errors else "ok"
            pulled.answer(status, "; ".join(pulled.errors or pulled.messages) or "done")

    def _end_ordered(self, status: str, message: str) -> None:
        if status == "error":
            self.errors.append(message)
            self._tell(message)
