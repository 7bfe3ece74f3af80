"""Finds the electrons in camera images: pixels above the background that exceed all their neighbours."""

from __future__ import annotations

from typing import Any

from runstart.frame_messages import count_message
from runstart.operators import BytesMessage, operator


@operator
def electron_count(inputs: BytesMessage | None, parameters: dict[str, Any]) -> BytesMessage | None:
    """Count a batch, a single image, or an array of them."""
    if inputs is None:
        return None
    return count_message(inputs, parameters["background_threshold"], parameters["xray_threshold"])
