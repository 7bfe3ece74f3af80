"""Sends messages of growing sizes, as fast as they are taken."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from runstart.frame_messages import Load, load_messages
from runstart.operators import BytesMessage, EndOfStream, operator

_messages: Iterator[BytesMessage] | None = None


@operator
def benchmark_sender(inputs: BytesMessage | None, parameters: dict[str, Any]) -> BytesMessage:
    """Return the next message."""
    global _messages  # noqa: PLW0603 - a source goes on where it was
    if _messages is None:
        sizes = (parameters["smallest_kb"] << 10, parameters["largest_kb"] << 10)
        _messages = load_messages(Load(*sizes, int(parameters["gib_per_size"] * 2**30)))
    message = next(_messages, None)
    if message is None:
        raise EndOfStream
    return message
