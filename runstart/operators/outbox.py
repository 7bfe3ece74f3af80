"""What an operator has to say to its session and has not said yet: bounded, so that a slow session makes it wait.

Of messages that replace each other, such as outputs that are shown, the older ones make room when there is none.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

from runstart.operators.messages import BytesLike, count_bytes

_MOST_BYTES = 64 << 20
_LOOK_S = 0.25


@dataclass(eq=False)
class _Letter:
    key: Hashable
    parts: Sequence[BytesLike]
    size: int


class Outbox:
    """A queue of multipart messages between threads.

    Parameters
    ----------
    most_bytes : int, optional
        How much may wait; one that is larger waits alone.
    """

    def __init__(self, most_bytes: int = _MOST_BYTES) -> None:
        self._room = most_bytes
        self._letters: list[_Letter] = []
        self._bytes = 0
        self._changed = threading.Condition()

    def put(self, parts: Sequence[BytesLike], key: Hashable, is_over: Callable[[], bool]) -> bool:
        """Add a message.

        Parameters
        ----------
        parts : sequence of bytes-like
            The message.
        key : hashable or None
            Those that wait under the same key may be left out; None: none may.
        is_over : callable
            Whether there is no more use in waiting for room.

        Returns
        -------
        bool
            Whether it was added; False: there was no room, and waiting was of no use.
        """
        size = sum(count_bytes(part) for part in parts)
        with self._changed:
            while self._letters and self._bytes + size > self._room:
                if self._make_room(key):
                    continue
                if is_over():
                    return False
                self._changed.wait(_LOOK_S)
            self._letters.append(_Letter(key, parts, size))
            self._bytes += size
        return True

    def take(self) -> Sequence[BytesLike] | None:
        """Return the oldest message and remove it; None if there is none."""
        with self._changed:
            if not self._letters:
                return None
            letter = self._letters[0]
            self._remove(letter)
            return letter.parts

    def _make_room(self, key: Hashable) -> bool:
        """Leave out the oldest message of a key; return whether there is one."""
        found = next((letter for letter in self._letters if key is not None and letter.key == key), None)
        if found is not None:
            self._remove(found)
        return found is not None

    def _remove(self, letter: _Letter) -> None:
        self._letters.remove(letter)
        self._bytes -= letter.size
        self._changed.notify_all()
