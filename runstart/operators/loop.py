"""The life of an operator between set-up and tear-down: one thread in which messages, triggers and commands take turns.

A message that breaks the operator becomes a dead letter, and the stream goes on; ten in a row end the operator, and one
that goes well in between forgives the others.
"""

from __future__ import annotations

import sys
import time
import traceback
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from runstart.operators.declaring import EndOfStream
from runstart.operators.messages import BrokenMessage, count_bytes, decode, show_header
from runstart.operators.ports import Stopped
from runstart.operators.results import messages_of
from runstart.operators.tracking import for_session, now

if TYPE_CHECKING:
    from runstart.operators.calling import Caller
    from runstart.operators.control import Command, Control
    from runstart.operators.counters import Counters
    from runstart.operators.messages import BytesLike, BytesMessage, Entries
    from runstart.operators.order import Order
    from runstart.operators.ports import Inputs, Outputs
    from runstart.operators.tracking import Tracker

MOST_IN_A_ROW = 10
"""Failures in a row that end an operator."""

_WAIT_S = 5.0
_AT_ONCE = 100
_LARGEST_DEAD_LETTER = 256 << 20  # a session hears nothing that is larger than twice that


class TooManyFailures(Exception):
    """The operator has failed ten times in a row; the text is the last error."""


@dataclass
class _Pull:
    """A trigger that is being worked through."""

    number: str
    name: str
    drains: bool
    calls: int = 0
    sent: int = 0


class Loop:
    """Runs an operator.

    Parameters
    ----------
    order : Order
        What it was told to be.
    caller : Caller
        Its functions, set up.
    takes_trigger : bool
        Whether its function takes triggers.
    inputs : Inputs
        Where messages come from.
    outputs : Outputs
        Where they go.
    control : Control
        The session.
    counters : Counters
        What is counted.
    tracker : Tracker
        Times of messages that are tracked.
    """

    def __init__(
        self,
        order: Order,
        caller: Caller,
        inputs: Inputs,
        outputs: Outputs,
        control: Control,
        counters: Counters,
        tracker: Tracker,
        *,
        takes_trigger: bool,
    ) -> None:
        self._order, self._caller, self._takes_trigger = order, caller, takes_trigger
        self._inputs, self._outputs, self._control = inputs, outputs, control
        self._counters, self._tracker = counters, tracker
        self._parameters = dict(order.parameters)
        self._pulls: deque[_Pull] = deque()
        self._has_started = self._is_to_finish = self._has_finished = self._is_busy = False
        self._error: str | None = None
        self._in_a_row = 0

    def run(self) -> None:
        """Run until the operator is told to stop; one without a session ends when its source does.

        Raises
        ------
        TooManyFailures
            It has failed too often in a row.
        Exception
            What `on_finish` raises: nothing that the operator holds may be lost quietly.
        """
        try:
            while not self._control.is_stopped:
                self._obey()
                if self._has_finished and self._order.control is None:
                    return
                if not self._work():
                    self._inputs.wait(_WAIT_S)
        except Stopped:
            return

    def status(self) -> Mapping[str, Any]:
        """Return how the operator stands, for the session; may be called in another thread."""
        return {
            "state": self._state(),
            "error": self._error,
            "in_a_row": self._in_a_row,
            **self._counted(),
        }

    def _counted(self) -> dict[str, Any]:
        counters = self._counters.values()
        since_ns = counters.busy_since_ns
        # The session's clock may be another machine's.
        return {"counters": asdict(counters), "busy_ns": time.monotonic_ns() - since_ns if since_ns else 0}

    def _state(self) -> str:
        if self._outputs.is_waiting:
            return "waiting to send"
        if self._error is not None:
            return "error"
        if self._is_to_finish and not self._has_finished:
            return "draining"
        return "busy" if self._is_busy else "idle"

    def _obey(self) -> None:
        while self._control.commands:
            command = self._control.commands.popleft()
            match command["kind"]:
                case "start":
                    self._has_started = True
                case "parameters":
                    # A new dict: a call that is under way, or what it has kept, sees no change.
                    self._parameters = {**self._parameters, **command.get("values", {})}
                case "trigger":
                    self._take_trigger(command)
                case "finish":
                    self._is_to_finish = True
                case kind:
                    sys.stderr.write(f"The session has sent a command that is not known: {kind}.\n")

    def _work(self) -> bool:
        """Do the next thing; return whether there was one."""
        if self._may_pull():
            self._pull(self._pulls[0])
            if not self._order.inputs:
                return True
        if self._order.is_source:
            if self._has_started and not self._is_to_finish:
                self._call(None)
                return True
        elif self._receive_some():
            return True
        if self._is_to_finish and not self._has_finished and not self._pulls:
            self._finish()
            return True
        return self._may_pull()

    def _may_pull(self) -> bool:
        return bool(self._pulls) and (self._has_started or self._is_to_finish)

    def _receive_some(self) -> bool:
        for done in range(_AT_ONCE):
            received = self._inputs.receive()
            if received is None:
                return done > 0
            self._take(*received)
            if self._control.commands or self._control.is_stopped:
                break
        return True

    def _take(self, port: str, parts: list[BytesLike]) -> None:
        self._counters.receive(count_bytes(parts[-1]))
        try:
            message = decode(parts, port)
        except BrokenMessage as error:
            # It says nothing about the operator: it forgives nothing, and is not held against it.
            self._counters.fail()
            self._bury(str(error), "", bytes(parts[0]), b"".join(parts[1:]))
            return
        if message.header.tracking is not None:
            self._tracker.arrived(message.header.tracking, port)
        self._call(message)

    def _call(self, message: BytesMessage | None) -> None:
        try:
            self._operate(message)
        except (Stopped, TooManyFailures):
            raise
        except EndOfStream as end:
            if message is None:
                self._is_to_finish = True
            else:
                self._fail(end, message)
        except Exception as error:  # noqa: BLE001 - whatever a message does to an operator, the next one has its turn
            self._fail(error, message)
        else:
            self._counters.finish()
            if self._in_a_row:
                self._in_a_row, self._error = 0, None
        finally:
            self._rest()

    def _operate(self, message: BytesMessage | None, trigger: str | None = None) -> tuple[bool, int]:
        """Call the operator, and send what it makes; return whether it has returned something, and how many messages."""
        entries = self._tracker.begin() if message is None else message.header.tracking
        began = now() if entries is not None else ""
        started, waited = self._be_busy(), self._outputs.waiting_ns
        try:
            result = self._caller.call(message, self._parameters, trigger)
            if entries is not None:
                entries = self._tracker.operated(entries, began)
            count = self._send_all(result, entries)
        finally:
            self._counters.work(time.monotonic_ns() - started - (self._outputs.waiting_ns - waited))
        if entries is not None and message is not None and not self._order.has_outputs:
            self._control.tell({"kind": "tracking", "entries": for_session(entries)})
        return result is not None, count

    def _send_all(self, result: Any, entries: Entries | None = None) -> int:
        if isinstance(result, Mapping):
            for port in result:
                self._outputs.check(port)  # before any of them is sent
        count = 0
        for port, message in messages_of(result):
            # A message that an author has passed on brings its own list along, which misses the operator's work.
            self._outputs.send(port, message, entries)
            count += 1
        return count

    def _fail(self, error: Exception, message: BytesMessage | None) -> None:
        self._counters.fail()
        self._in_a_row += 1
        self._error = _told(error)
        trace = "".join(traceback.format_exception(error))
        # Those that follow are most likely the same; the session has all of them.
        sys.stderr.write(trace if self._in_a_row == 1 else f"{self._error} ({self._in_a_row} in a row)\n")
        if message is None:
            self._bury(self._error, trace)
        else:
            self._bury(self._error, trace, show_header(message.header), message.data)
        if self._in_a_row >= MOST_IN_A_ROW:
            raise TooManyFailures(self._error)

    def _bury(self, error: str, trace: str, header: bytes | None = None, data: BytesLike = b"") -> None:
        letter = {"kind": "dead_letter", "error": error, "traceback": trace}
        blobs = [] if header is None else [header, data[:_LARGEST_DEAD_LETTER]]
        self._control.tell(letter, blobs)

    def _take_trigger(self, command: Command) -> None:
        name, number = str(command.get("name")), str(command.get("id"))
        if name not in self._order.triggers:
            known = ", ".join(self._order.triggers) or "none"
            self._answer(number, "error", f"There is no trigger {name!r}; there are: {known}.")
        elif not self._takes_trigger:
            self._answer(number, "error", "The operator's function does not take the argument `trigger`.")
        elif self._has_finished:
            self._answer(number, "error", "The operator has finished.")
        else:
            self._pulls.append(_Pull(number, name, self._order.triggers[name] == "drain"))

    def _pull(self, pull: _Pull) -> None:
        """Call the operator for a trigger: once, and again in the next turn if it drains and has given something."""
        if self._is_to_finish and pull.calls:
            self._end_pull(pull, "error", f"The operator was told to finish after {pull.sent} messages.")
            return
        pull.calls += 1
        try:
            has_more, count = self._operate(None, pull.name)
        except Stopped:
            raise
        except EndOfStream:
            self._end_pull(pull, "ok", f"{pull.sent} messages")
        except Exception as error:  # noqa: BLE001 - who has pulled the trigger is told, whatever it is
            self._error = _told(error)
            traceback.print_exception(error)
            self._count_pull(has_failed=True)
            self._end_pull(pull, "error", self._error)
        else:
            self._error = None
            pull.sent += count
            self._count_pull(has_failed=False)
            if not (pull.drains and has_more):
                self._end_pull(pull, "ok", f"{pull.sent} messages")
        finally:
            self._rest()

    def _count_pull(self, *, has_failed: bool) -> None:
        # Where there are inputs, calls have to add up to the messages that came in.
        if not self._order.inputs:
            (self._counters.fail if has_failed else self._counters.finish)()

    def _end_pull(self, pull: _Pull, status: str, message: str) -> None:
        self._pulls.remove(pull)
        self._answer(pull.number, status, message)

    def _answer(self, number: str, status: str, message: str) -> None:
        self._control.tell({"kind": "trigger_done", "id": number, "status": status, "message": message})

    def _finish(self) -> None:
        """Emit what the operator still holds, and tell the session that this was all."""
        self._be_busy()
        try:
            self._send_all(self._caller.finish(self._parameters))
        finally:
            self._rest()
        self._has_finished = True
        self._control.tell({"kind": "finished", **self._counted()})

    def _be_busy(self) -> int:
        started = time.monotonic_ns()
        self._counters.set_busy(started)
        self._is_busy = True
        return started

    def _rest(self) -> None:
        self._counters.set_busy(0)
        self._is_busy = False


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
