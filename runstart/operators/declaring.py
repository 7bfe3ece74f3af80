"""What an author writes above functions: which one is the operator, what it needs, and what it emits at the end.

The functions stay as they are, so that a test or a notebook can call them; they only carry a note.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, overload

_F = TypeVar("_F", bound=Callable[..., Any])
_NOTE = "__runstart_operator_note__"


class EndOfStream(Exception):
    """Raised by a source that has no more messages."""


@dataclass(frozen=True)
class Note:
    """What a function is to its operator.

    Attributes
    ----------
    role : str
        `operator`, `dependencies` or `on_finish`.
    keeps_state : bool
        Of an operator: whether it holds results of messages that it has had.
    is_async : bool
        Of an operator: whether it is a coroutine function.
    takes_trigger : bool
        Of an operator: whether it takes the keyword `trigger`.
    """

    role: str
    keeps_state: bool = False
    is_async: bool = False
    takes_trigger: bool = False


@overload
def operator(function: _F) -> _F: ...
@overload
def operator(*, keeps_state: bool = False) -> Callable[[_F], _F]: ...
def operator(function: _F | None = None, *, keeps_state: bool = False) -> _F | Callable[[_F], _F]:
    """Make a function the operator of a run.py.

    Parameters
    ----------
    function : callable
        Takes `inputs` (a `BytesMessage`, or None in a source or for a trigger) and `parameters` (a dict, as they are now),
        and if it wants to, the keyword `trigger` (its name, or None). Returns None, a `BytesMessage`, which goes to every
        output port, a dict of them by port, or a list of messages. It may be `async`.
    keeps_state : bool, optional
        Whether it holds results of messages that it has had, such as a sum: if its process dies, they are told to be
        forgotten.
    """
    if function is None:
        return lambda found: _note_operator(found, keeps_state)
    return _note_operator(function, keeps_state)


def dependencies(function: _F) -> _F:
    """Make a generator function set up what an operator needs, before its `yield`, and tear it down, after it.

    There may be several: they are set up in order and torn down in reverse order.

    Raises
    ------
    TypeError
        If it is no generator function.
    """
    if not inspect.isgeneratorfunction(function):
        raise TypeError(f"@dependencies takes a generator function, and {_name(function)} has no yield.")
    return _with_note(function, Note("dependencies"))


def on_finish(function: _F) -> _F:
    """Make a function emit what an operator still holds when all its inputs have ended.

    Parameters
    ----------
    function : callable
        Takes `parameters`; returns what an operator may return, or anything that yields messages.
    """
    return _with_note(function, Note("on_finish"))


def note_of(thing: object) -> Note | None:
    """Return the note that a function carries, if it does."""
    note = vars(thing).get(_NOTE) if inspect.isfunction(thing) else None
    return note if isinstance(note, Note) else None


def _note_operator(function: _F, keeps_state: bool) -> _F:
    taken = inspect.signature(function).parameters
    takes_trigger = "trigger" in taken or any(one.kind is one.VAR_KEYWORD for one in taken.values())
    return _with_note(function, Note("operator", keeps_state, inspect.iscoroutinefunction(function), takes_trigger))


def _with_note(function: _F, note: Note) -> _F:
    if not inspect.isfunction(function):
        raise TypeError(f"@{note.role} takes a function, and {function!r} is none.")
    setattr(function, _NOTE, note)
    return function


def _name(function: object) -> str:
    return getattr(function, "__qualname__", repr(function))
