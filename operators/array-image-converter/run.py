"""Colours an array: each pixel of the picture is a value, between two percentiles of all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from runstart.frame_messages import Look, colored_picture, read_array
from runstart.operators import BytesMessage, MessageHeader, operator


@operator
def array_image_converter(inputs: BytesMessage | None, parameters: dict[str, Any]) -> BytesMessage | None:
    """Return an array's picture; what the array says of itself goes with it."""
    if inputs is None:
        return None
    array, meta = read_array(inputs)
    look = Look(
        percentiles=(parameters["percentile_min"], parameters["percentile_max"]),
        contrast=parameters["contrast"],
        brightness=parameters["brightness"],
        colors=parameters["colormap"],
        blank=parameters["blank_value"] if parameters["ignore_blank"] else None,
    )
    image_format: str = parameters["image_format"]
    about = {key: value for key, value in meta.items() if key not in ("shape", "dtype")}
    about["media_type"] = f"image/{image_format.lower()}"
    if "name" in about:
        about["name"] = Path(about["name"]).with_suffix(".jpg" if image_format == "JPEG" else ".png").name
    return BytesMessage(MessageHeader(meta=about), colored_picture(array, look, image_format))
