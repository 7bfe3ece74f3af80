"""An operator's process from its order to its exit code."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runstart.errors import Alert
from runstart.operators.calling import Caller
from runstart.operators.control import NoControl, SessionControl
from runstart.operators.counters import MOST_OUTPUTS, Counters
from runstart.operators.data_directory import data_directory_at, linked_data_directory
from runstart.operators.hosts import HostUnknown, wait_for_hosts
from runstart.operators.loading import load_program
from runstart.operators.loop import Loop, TooManyFailures
from runstart.operators.order import VARIABLE, Order, make_own_order, read_order
from runstart.operators.own_specification import read_own_specification
from runstart.operators.ports import Inputs, Outputs
from runstart.operators.publishing import shown_by
from runstart.operators.tracking import Tracker

if TYPE_CHECKING:
    import zmq

    from runstart.operators.control import Control

BROKEN, MISUSED, TOO_MANY_FAILURES, HOST_UNKNOWN = 1, 2, 70, 71
"""Exit codes: it cannot be set up, torn down or finished; wrongly started; ten failures; a host name does not resolve."""

_LINGER_STOPPED_S, _LINGER_FAILED_S = 1.0, 10.0


def main(arguments: Sequence[str] | None = None, environ: Mapping[str, str] = os.environ) -> int:
    """Run the operator that the command line names; return the process's exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if len(arguments) != 1 or arguments[0].startswith("-"):
        sys.stderr.write("Say: python -m runstart.operators PATH/run.py\n")
        return MISUSED
    run_py = Path(arguments[0])
    with ExitStack() as stack:
        try:
            order = _get_order(run_py, environ, stack)
        except Alert as alert:
            sys.stderr.write(f"{alert}\n")
            return MISUSED
        return _run(run_py, order)


def _get_order(run_py: Path, environ: Mapping[str, str], stack: ExitStack) -> Order:
    """Return the order, with the folder of mount parameters as it says, or made for the while of `stack`."""
    if VARIABLE in environ:
        order = read_order(environ[VARIABLE])
        if order.data_directory is not None:
            stack.enter_context(data_directory_at(order.data_directory))
        return order
    spec = read_own_specification(run_py)
    order = make_own_order(run_py.resolve().parent.name, spec, environ)
    stack.enter_context(linked_data_directory(spec.mounts(order.parameters)))
    return order


def _run(run_py: Path, order: Order) -> int:
    import zmq

    context: zmq.Context[Any] = zmq.Context()
    control: Control = NoControl() if order.control is None else SessionControl(context, order.control, order)
    try:
        with _stopped_by_signals(control, interrupts=order.is_own):
            return _try(run_py, order, context, control)
    finally:
        control.close()
        # Waits for what closed sockets are still to send, as long as each of them was told to linger.
        context.destroy(linger=0)


def _try(run_py: Path, order: Order, context: zmq.Context[Any], control: Control) -> int:
    """Run the operator; return the exit code that belongs to how it ended, and tell why."""
    try:
        _live(run_py, order, context, control)
    except HostUnknown as error:
        sys.stderr.write(f"{error}\n")
        control.tell({"kind": "unresolved", "host": error.host})
        return HOST_UNKNOWN
    except TooManyFailures as error:
        return _fail(control, f"The operator has failed too often in a row, and ends: {error}", TOO_MANY_FAILURES)
    except Alert as alert:
        return _fail(control, str(alert), BROKEN)
    except Exception as error:  # noqa: BLE001 - the session is told of a bug too, and the traceback is printed
        traceback.print_exception(error)
        return _fail(control, f"{type(error).__name__}: {error}", BROKEN)
    return 0


def _fail(control: Control, error: str, code: int) -> int:
    sys.stderr.write(f"{error}\n")
    control.tell({"kind": "failed", "error": error})
    return code


def _live(run_py: Path, order: Order, context: zmq.Context[Any], control: Control) -> None:
    """Set the operator up, run it, and tear it down."""
    count = sum(len(uris) for uris in order.outputs.values())
    if count > MOST_OUTPUTS:
        raise Alert(f"The operator has {count} outputs, and at most {MOST_OUTPUTS} can be counted.", "Use fewer.")
    counters = Counters.open(order.counters)
    place = f"{order.session} {order.operator} {order.replica}"
    tracker = Tracker(place, order.operator, is_source=not order.inputs)
    if isinstance(control, SessionControl):
        publishing: Any = shown_by(control.publish)
    else:
        publishing = ExitStack()
    with publishing:
        program = load_program(run_py)
        with Caller(program) as caller:
            wait_for_hosts(_uris(order.inputs), order.resolve_s, lambda: control.is_stopped)
            with _ports(order, context, control, counters, tracker) as (inputs, outputs):
                takes_trigger = program.note.takes_trigger
                loop = Loop(order, caller, inputs, outputs, control, counters, tracker, takes_trigger=takes_trigger)
                control.watch(loop.status)
                control.tell({"kind": "ready", "keeps_state": program.note.keeps_state})
                loop.run()
    made = counters.values().emitted
    if made and not order.has_outputs:
        sys.stderr.write(f"The operator has made {made} messages; nothing is wired to it that takes them.\n")


@contextmanager
def _ports(
    order: Order, context: zmq.Context[Any], control: Control, counters: Counters, tracker: Tracker
) -> Iterator[tuple[Inputs, Outputs]]:
    inputs = Inputs(context, order.inputs, order.queue, control.wake)
    outputs = Outputs(
        context, order.outputs, order.queue, counters, tracker, control.wake, lambda: control.is_stopped
    )
    linger_s: float | None = _LINGER_FAILED_S  # what it has sent before it fails is good
    try:
        yield inputs, outputs
        linger_s = None
    finally:
        inputs.close()
        if not control.is_stopped:
            outputs.wait(linger_s, lambda: control.is_stopped)
        outputs.close(_LINGER_STOPPED_S)


def _uris(ports: Mapping[str, Sequence[str]]) -> list[str]:
    return [uri for uris in ports.values() for uri in uris]


@contextmanager
def _stopped_by_signals(control: Control, *, interrupts: bool) -> Iterator[None]:
    """Have SIGTERM and SIGINT end the operator as a session does: after the present message, with tear-down.

    By hand, where nobody counts messages, the present one is interrupted.
    """

    def stop(*_: object) -> None:
        control.stop()
        if interrupts:
            raise SystemExit(0)

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
