"""Shows the newest picture on the page; arrays are drawn with axes and a scale of colours."""

from __future__ import annotations

from typing import Any

from runstart.frame_messages import LatestPicture
from runstart.operators import BytesMessage, on_finish, operator

_picture = LatestPicture()


@operator
def image_display(inputs: BytesMessage | None, parameters: dict[str, Any]) -> None:
    """Show a picture or an array, unless the last was shown just now."""
    if inputs is not None:
        _picture.show(inputs, parameters["min_interval_s"])


@on_finish
def show_last(parameters: dict[str, Any]) -> None:
    """Show the last, if it had to wait."""
    _picture.finish()
