"""Takes the messages that streaming forwards, in edgeECHO's protocol, and counts them."""

from __future__ import annotations

from typing import Any

from runstart.operators import BytesMessage, EndOfStream, operator
from runstart.probe_sessions.programs import Address, Telling, run_segmentation


@operator
def segmentation(inputs: BytesMessage | None, parameters: dict[str, Any]) -> None:
    """Connect to streaming, and take everything that it forwards."""
    source = Address(parameters["stream_ip"], parameters["stream_port"])
    run_segmentation(source, Telling("segmentation"), parameters["patience_s"])
    raise EndOfStream
