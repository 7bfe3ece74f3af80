"""Puts the sums of a scan together, and sends its centres of mass while they come and when all are there."""

from __future__ import annotations

from typing import Any

from runstart.frame_messages import CenterOfMassSums, OpenScans, read_partial
from runstart.operators import BytesMessage, on_finish, operator

_scans = OpenScans(CenterOfMassSums)


@operator(keeps_state=True)
def center_of_mass_reduce(inputs: BytesMessage | None, parameters: dict[str, Any]) -> list[BytesMessage] | None:
    """Count the sums of some positions."""
    if inputs is None:
        return None
    every, most = parameters["emit_every"], parameters["max_concurrent_scans"]
    return _scans.take(read_partial(inputs), parameters, every, most)


@on_finish
def send_rest(parameters: dict[str, Any]) -> list[BytesMessage]:
    """Send what there is of scans that are not complete."""
    return _scans.finish(parameters)
