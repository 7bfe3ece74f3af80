"""Measures how fast messages come, by their size, and sends a table of it."""

from __future__ import annotations

from typing import Any

from runstart.frame_messages import LoadMeter
from runstart.operators import BytesMessage, on_finish, operator

_meter = LoadMeter()


@operator(keeps_state=True)
def benchmark_receiver(inputs: BytesMessage | None, parameters: dict[str, Any]) -> BytesMessage | None:
    """Count a message; return the table when all of a size are there."""
    return None if inputs is None else _meter.take(inputs)


@on_finish
def send_table(parameters: dict[str, Any]) -> BytesMessage | None:
    """Return the table of all sizes, if some messages did not come."""
    return _meter.finish()
