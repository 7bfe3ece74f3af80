"""Shows the latest of many messages on the page, no more often than it is worth: drawing must not hold a stream up."""

from __future__ import annotations

import time
from collections.abc import Callable

from runstart.errors import Alert
from runstart.frame_messages.arrays import is_array, read_array, read_meta
from runstart.frame_messages.media import media_type_of
from runstart.frame_messages.pictures import array_picture
from runstart.operators import BytesMessage, publish

__all__ = ["LatestPicture", "picture_of"]


class LatestPicture:
    """Publishes pictures of messages. One that comes too soon is held until the next comes, or all is over.

    Parameters
    ----------
    clock : callable
        Returns monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._shown_at: float | None = None
        self._held: BytesMessage | None = None

    def show(self, message: BytesMessage, interval_s: float) -> None:
        """Show a message, unless the last was shown less than so many seconds ago: then it is held.

        Raises
        ------
        Alert
            If there is no picture of it.
        """
        if self._shown_at is not None and self._clock() - self._shown_at < interval_s:
            self._held = message
            return
        self._publish(message)

    def finish(self) -> None:
        """Show what is held."""
        if self._held is not None:
            self._publish(self._held)

    def _publish(self, message: BytesMessage) -> None:
        self._held = None
        media_type, picture = picture_of(message)
        name = read_meta(message)
        publish(media_type, picture, str(name.get("content") or name.get("name") or ""))
        self._shown_at = self._clock()


def picture_of(message: BytesMessage) -> tuple[str, bytes]:
    """Return the media type and the data of a message's picture: a picture as it is, an array drawn.

    Raises
    ------
    Alert
        If the message is neither.
    """
    if is_array(message):
        array, meta = read_array(message)
        return "image/png", array_picture(array, meta)
    data = bytes(message.data)
    media_type = media_type_of(data)
    if not media_type.startswith("image/"):
        raise Alert(f"The message is no picture and no array, but {media_type}.", "Wire pictures or arrays to it.")
    return media_type, data
