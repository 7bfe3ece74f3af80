"""Adds up all frames of a scan: its mean diffraction pattern, but for a factor."""

from __future__ import annotations

from typing import Any

from runstart.frame_messages import OpenScans, PatternSums, read_batch
from runstart.operators import BytesMessage, on_finish, operator

_scans = OpenScans(PatternSums)


@operator(keeps_state=True)
def diffraction_pattern_accumulator(
    inputs: BytesMessage | None, parameters: dict[str, Any]
) -> list[BytesMessage] | None:
    """Add the frames of some positions."""
    if inputs is None:
        return None
    every, most = parameters["update_frequency"], parameters["max_concurrent_scans"]
    return _scans.take(read_batch(inputs), parameters, every, most)


@on_finish
def send_rest(parameters: dict[str, Any]) -> list[BytesMessage]:
    """Send what there is of scans that are not complete."""
    return _scans.finish(parameters)
