"""Sends numbered messages to streaming, in edgeECHO's protocol, and counts them."""

from __future__ import annotations

from typing import Any

from runstart.operators import BytesMessage, EndOfStream, operator
from runstart.probe_sessions.programs import Address, Telling, run_probe


@operator
def probe(inputs: BytesMessage | None, parameters: dict[str, Any]) -> None:
    """Wait for streaming, and send it everything."""
    at = Address(parameters["probe_ip"], parameters["probe_port"])
    run_probe(at, parameters["count"], Telling("probe"), parameters["patience_s"])
    raise EndOfStream
