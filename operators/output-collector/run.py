"""Keeps every message as a file, and shows the newest picture."""

from __future__ import annotations

from typing import Any

from runstart.frame_messages import LatestPicture, as_file, is_array, read_meta
from runstart.operators import BytesMessage, on_finish, operator, publish

_picture = LatestPicture()


@operator
def output_collector(inputs: BytesMessage | None, parameters: dict[str, Any]) -> None:
    """Keep a message; show it too, if it is a picture, or an array that can be drawn."""
    if inputs is None:
        return
    media_type, content = as_file(inputs)
    meta = read_meta(inputs)
    publish(media_type, content, str(meta.get("name") or meta.get("content") or ""), keep=True)
    if media_type.startswith("image/") or (
        is_array(inputs) and 1 <= len(meta["shape"]) <= 3 and 0 not in meta["shape"]
    ):
        _picture.show(inputs, parameters["min_interval_s"])


@on_finish
def show_last(parameters: dict[str, Any]) -> None:
    """Show the last picture, if it had to wait."""
    _picture.finish()
