"""edgeECHO's wire protocol: JSON objects `{sender, type, data}` in ASCII, each ended by `;`, over TCP.

Types are 1 data, 2 terminate and 3 connection; the probe writes that of its data as a string, so both forms are read. A
`;` inside a text is written as an escape, so that it always ends an object. What is no such object is an error: there is
no way to find the next one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from runstart.errors import Alert

LONGEST_OBJECT = 65_536
"""Bytes of an object; edgeECHO's have less than 100."""

_END = b";"
_SHOWN = 60


class MessageType(IntEnum):
    """What a message is."""

    DATA = 1
    TERMINATE = 2
    CONNECTION = 3


class ProtocolError(Alert):
    """A peer has sent what is no message."""

    def __init__(self, what: str) -> None:
        super().__init__(what, "See what has connected: it speaks another protocol, or is damaged.")


@dataclass(frozen=True, slots=True)
class Message:
    """A message between the programs.

    Attributes
    ----------
    sender : str
        `probe` or `streaming`.
    type : MessageType
        What it is.
    data : any
        As JSON takes it; of the probe's data its number, from 0.
    type_is_text : bool
        Whether the type is written as a string.
    """

    sender: str
    type: MessageType
    data: Any
    type_is_text: bool = False

    def encode(self) -> bytes:
        """Return the message as it goes over the wire."""
        kind = str(int(self.type)) if self.type_is_text else int(self.type)
        text = json.dumps({"sender": self.sender, "type": kind, "data": self.data})
        return text.replace(";", "\\u003b").encode("ascii") + _END


class MessageReader:
    """Cuts what arrives, in whatever pieces, into messages."""

    def __init__(self) -> None:
        self._rest = b""

    @property
    def is_between(self) -> bool:
        """Whether no part of a message waits for its end."""
        return not self._rest.strip()

    def feed(self, data: bytes) -> list[Message]:
        """Return the messages that are complete with these bytes.

        Raises
        ------
        ProtocolError
            If there is something else than a message, or one that is too long.
        """
        *complete, self._rest = (self._rest + data).split(_END)
        messages = [_parse(piece) for piece in complete]
        if len(self._rest) > LONGEST_OBJECT:
            raise ProtocolError(f"More than {LONGEST_OBJECT} bytes came without the end of a message.")
        return messages


def _parse(piece: bytes) -> Message:
    if len(piece) > LONGEST_OBJECT:
        raise ProtocolError(f"A message has {len(piece)} bytes, more than {LONGEST_OBJECT}.")
    try:
        table = json.loads(piece.decode("ascii"))
        kind = table["type"]
        if not isinstance(table["sender"], str) or isinstance(kind, bool) or not isinstance(kind, int | str):
            raise TypeError
        return Message(table["sender"], MessageType(int(kind)), table["data"], isinstance(kind, str))
    except (ValueError, TypeError, KeyError, RecursionError):
        raise ProtocolError(f"{piece[:_SHOWN]!r} is no message of a probe session.") from None
