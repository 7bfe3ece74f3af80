"""What operators send to be kept: messages that broke them, and outputs that they show.

Of each operator's dead letters the first hundred are kept, of large messages fewer; all are counted by the operator
itself.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

from runstart.sessions.records import session_key
from runstart.sessions.status import Published

if TYPE_CHECKING:
    from runstart.sessions.control_hub import Said
    from runstart.sessions.keeping import Keeper
    from runstart.sessions.status import SessionReporter

MOST_DEAD_LETTERS = 100
"""Dead letters of each operator that are kept."""

_MOST_BYTES = 256 << 20  # of the messages of an operator's dead letters
_LONGEST_ERROR = 20_000


class Gathering:
    """Takes dead letters and outputs.

    Parameters
    ----------
    session_id : str
        The session.
    keeper : Keeper
        Writes them.
    reporter : SessionReporter
        Is told of them.
    """

    def __init__(self, session_id: str, keeper: Keeper, reporter: SessionReporter) -> None:
        self._session_id = session_id
        self._keeper = keeper
        self._reporter = reporter
        self._dead_letters: Counter[str] = Counter()
        self._letter_bytes: Counter[str] = Counter()
        self._published: Counter[str] = Counter()

    def dead_letter(self, said: Said) -> None:
        """Keep a message that broke an operator, with the error."""
        operator = said.sender.operator
        number = self._dead_letters[operator]
        self._dead_letters[operator] += 1
        error = str(said.content.get("error"))[:_LONGEST_ERROR]
        if number == 0:
            self._reporter.log(f"{operator} cannot work on a message; it is kept as a dead letter: {error}")
        if number == MOST_DEAD_LETTERS:
            self._reporter.log(f"{operator}: further dead letters are counted, but not kept.")
        if number >= MOST_DEAD_LETTERS:
            return
        size = sum(map(len, said.blobs))
        self._letter_bytes[operator] += size
        about = {
            "operator": operator,
            "replica": said.sender.replica,
            "error": error,
            "traceback": str(said.content.get("traceback") or "")[:_LONGEST_ERROR],
            "bytes": size,
        }
        key = session_key(self._session_id, "dead_letters", operator, f"{number:06d}")
        self._keeper.put(f"{key}.json", json.dumps(about).encode())
        if self._letter_bytes[operator] > _MOST_BYTES:
            return
        for ending, blob in zip(("header", "data"), said.blobs, strict=False):
            self._keeper.put(f"{key}.{ending}", blob)

    def published(self, said: Said) -> None:
        """Keep and show an output."""
        if not said.blobs:
            return
        operator = said.sender.operator
        output = Published(
            operator=operator,
            media_type=str(said.content.get("media_type") or "application/octet-stream"),
            data=said.blobs[0],
            name=str(said.content.get("name") or ""),
            keep=bool(said.content.get("keep")),
            number=self._published[operator],
        )
        self._published[operator] += 1
        names = ["latest"] + ([f"{output.number:06d}"] if output.keep else [])
        about = {"media_type": output.media_type, "name": output.name, "number": output.number}
        for name in names:
            key = session_key(self._session_id, "published", operator, name)
            self._keeper.put(key, output.data)
            self._keeper.put(f"{key}.json", json.dumps(about).encode())
        self._reporter.published(output)
