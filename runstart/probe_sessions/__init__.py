"""edgeECHO's sessions: a probe, a stream and a segmentation that send each other numbered messages, and count them."""

from runstart.probe_sessions.order import MOST_MESSAGES, ProbeOrder
from runstart.probe_sessions.outcome import ProbeOutcome, ProbeSessionFailed
from runstart.probe_sessions.requests import (
    REQUESTS_PREFIX,
    Refused,
    Request,
    read_requests,
    remove_request,
    write_request,
)
from runstart.probe_sessions.session import run_probe_session

__all__ = [
    "MOST_MESSAGES",
    "REQUESTS_PREFIX",
    "ProbeOrder",
    "ProbeOutcome",
    "ProbeSessionFailed",
    "Refused",
    "Request",
    "read_requests",
    "remove_request",
    "run_probe_session",
    "write_request",
]
