"""Runs pipelines: sessions of operators that are started, wired, watched, drained, and cleaned up."""

from runstart.sessions.cleaning import clean_up
from runstart.sessions.mailbox import send_command
from runstart.sessions.order import Allowance, SessionOrder, SessionSettings
from runstart.sessions.outcome import OperatorTotals, SessionFailed, SessionOutcome
from runstart.sessions.records import (
    SessionRecord,
    new_session_id,
    read_record,
    read_records,
    read_status,
    session_key,
)
from runstart.sessions.runner import run_session
from runstart.sessions.status import OperatorStatus, Published, SessionReporter, SessionStatus

__all__ = [
    "Allowance",
    "OperatorStatus",
    "OperatorTotals",
    "Published",
    "SessionFailed",
    "SessionOrder",
    "SessionOutcome",
    "SessionRecord",
    "SessionReporter",
    "SessionSettings",
    "SessionStatus",
    "clean_up",
    "new_session_id",
    "read_record",
    "read_records",
    "read_status",
    "run_session",
    "send_command",
    "session_key",
]
