"""Takes the probe's messages, in edgeECHO's protocol, forwards them to segmentation, and counts them."""

from __future__ import annotations

from typing import Any

from runstart.operators import BytesMessage, EndOfStream, operator
from runstart.probe_sessions.programs import Address, Telling, run_streaming


@operator
def streaming(inputs: BytesMessage | None, parameters: dict[str, Any]) -> None:
    """Connect to the probe, and take everything that it sends."""
    source = Address(parameters["probe_ip"], parameters["probe_port"])
    at = None if parameters["plain_stream"] else Address(parameters["stream_ip"], parameters["stream_port"])
    run_streaming(source, at, Telling("streaming"), parameters["patience_s"])
    raise EndOfStream
