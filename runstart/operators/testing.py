"""For tests of operators: runs a run.py in the test's own process, and returns what it makes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from runstart.errors import Alert
from runstart.operators.calling import Caller
from runstart.operators.data_directory import linked_data_directory
from runstart.operators.declaring import EndOfStream
from runstart.operators.loading import Program, loaded_program
from runstart.operators.messages import BytesMessage, decode, encode
from runstart.operators.own_specification import OwnSpecification, read_own_specification
from runstart.operators.publishing import Published, shown_by
from runstart.operators.results import messages_of

__all__ = ["Published", "call", "published"]

published: list[Published] = []
"""What the operators that were called have published, the newest last; `published.clear()` forgets it."""


def call(
    run_py: Path,
    messages: Iterable[BytesMessage],
    parameters: Mapping[str, Any] | None = None,
    trigger: str | None = None,
    *,
    limit: int | None = None,
) -> list[BytesMessage]:
    """Run an operator on messages, from set-up to tear-down, and return what it makes.

    Parameters
    ----------
    run_py : Path
        The operator's code; defaults of parameters come from the operator.json beside it.
    messages : iterable of BytesMessage
        One call each. If there are none, and no trigger, the operator is a source: it is called until `EndOfStream`,
        unless its operator.json has inputs.
    parameters : mapping of str to Any, optional
        Values that differ from the defaults; the path of a mount parameter is found at `DATA_DIRECTORY / name`.
    trigger : str, optional
        A trigger that is pulled after the messages; one of the mode `drain` until it gives nothing more.
    limit : int, optional
        For a source without an end: stops after so many messages.

    Returns
    -------
    list of BytesMessage
        In order, those of `@on_finish` last; `port` is the output port of one that was returned for a certain port.

    Raises
    ------
    Exception
        Whatever the operator raises.
    """
    spec = read_own_specification(run_py)
    values = spec.values({}) | dict(parameters or {})
    with (
        shown_by(published.append),
        linked_data_directory(spec.mounts(values)),
        loaded_program(run_py) as program,
        Caller(program) as caller,
    ):
        made: list[BytesMessage] = []
        for result in _results(program, caller, spec, list(messages), values, trigger):
            made += _returned(result)
            if limit is not None and len(made) >= limit:
                return made[:limit]
        return made


def _results(
    program: Program,
    caller: Caller,
    spec: OwnSpecification,
    messages: list[BytesMessage],
    values: dict[str, Any],
    trigger: str | None,
) -> Iterator[Any]:
    for message in messages:
        yield caller.call(_as_received(message, spec), values)
    if trigger is not None:
        _check_trigger(program, spec, trigger)
        yield from _pull(caller, values, trigger, drains=spec.triggers.get(trigger) == "drain")
    elif not messages and not spec.inputs:
        yield from _stream(caller, values)
    yield caller.finish(values)


def _stream(caller: Caller, values: dict[str, Any]) -> Iterator[Any]:
    while True:
        try:
            result = caller.call(None, values)
        except EndOfStream:
            return
        yield result


def _pull(caller: Caller, values: dict[str, Any], trigger: str, *, drains: bool) -> Iterator[Any]:
    while (result := caller.call(None, values, trigger)) is not None:
        yield result
        if not drains:
            return


def _check_trigger(program: Program, spec: OwnSpecification, trigger: str) -> None:
    if not program.note.takes_trigger:
        raise Alert(f"{program.kernel.__name__} takes no triggers.", "Give it the argument `trigger`.")
    if spec.triggers and trigger not in spec.triggers:
        raise Alert(f"There is no trigger {trigger!r}.", f"There are {', '.join(spec.triggers)}.")


def _as_received(message: BytesMessage, spec: OwnSpecification) -> BytesMessage:
    """Return a message as it comes from the wire: what an operator does with one works in a pipeline too."""
    port = message.port or next(iter(spec.inputs), "")
    return decode(encode(message, message.header.tracking), port)


def _returned(result: Any) -> list[BytesMessage]:
    return [replace(message, port=port or "") for port, message in messages_of(result)]
