"""The labels by which what belongs to a session is found again, also when nobody else knows of it any more."""

from __future__ import annotations

import socket

SESSION_LABEL = "runstart.session"
STORE_LABEL = "runstart.store"
OPERATOR_LABEL = "runstart.operator"
REPLICA_LABEL = "runstart.replica"
HOST_LABEL = "runstart.host"


def session_labels(session_id: str, store_id: str) -> dict[str, str]:
    """Return the labels of a session's network: whose it is, where its record is, and the machine that runs it."""
    return {SESSION_LABEL: session_id, STORE_LABEL: store_id, HOST_LABEL: socket.gethostname()}


def task_labels(session_id: str, store_id: str, operator: str, replica: int) -> dict[str, str]:
    """Return the labels of a task of a session."""
    return {**session_labels(session_id, store_id), OPERATOR_LABEL: operator, REPLICA_LABEL: str(replica)}
