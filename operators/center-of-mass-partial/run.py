"""Sums the moments of each frame inside a rectangle about the beam; center-of-mass-reduce puts the sums together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from runstart.frame_messages import load_kernel, partial_message, read_batch, sum_moments
from runstart.frames import Crop
from runstart.operators import BytesMessage, dependencies, operator


@dependencies
def compiled() -> Iterator[None]:
    """Have the kernel ready before the first message."""
    load_kernel()
    yield


@operator
def center_of_mass_partial(inputs: BytesMessage | None, parameters: dict[str, Any]) -> BytesMessage | None:
    """Sum a batch; x is the axis of rows, as in interactEM."""
    if inputs is None:
        return None
    batch = read_batch(inputs)
    crop = Crop(half_rows=parameters["crop_to_x"], half_columns=parameters["crop_to_y"])
    center = (parameters["init_center_x"], parameters["init_center_y"])
    return partial_message(batch.scan, sum_moments(batch, crop, center))
