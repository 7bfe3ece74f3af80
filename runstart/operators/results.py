"""What an operator's function has returned, as messages and the output ports that they go to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from runstart.operators.messages import BytesMessage


def messages_of(result: Any) -> Iterator[tuple[str | None, BytesMessage]]:
    """Yield what a function has returned, each message with its output port.

    Parameters
    ----------
    result : None, BytesMessage, mapping of str to BytesMessage, or iterable of these
        As it was returned; an iterable is taken one by one, so that it may yield more than fits into memory.

    Yields
    ------
    (str or None, BytesMessage)
        None as a port: every output port.

    Raises
    ------
    TypeError
        If it is something else.
    """
    if result is None:
        return
    if isinstance(result, BytesMessage):
        yield None, result
    elif isinstance(result, Mapping):
        for port, message in result.items():
            for _, one in messages_of(message):
                yield port, one
    elif isinstance(result, Iterable) and not isinstance(result, str | bytes | bytearray | memoryview):
        for one in result:
            yield from messages_of(one)
    else:
        raise TypeError(
            f"An operator returns None, a BytesMessage, a dict of them by output port, or a list of them, "
            f"not {type(result).__name__}."
        )
