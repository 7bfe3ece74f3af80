"""The code location in which only the sensors of sessions tick, and a silent run counts as dead after a few seconds."""

from __future__ import annotations

import os

from ticking import only_ticking

import ops.run_beats
import sensors.abandoned_runs
import sensors.session_requests
import sensors.sessions
from definitions import build_definitions

sensors.sessions.INTERVAL_SECONDS = 1
sensors.session_requests.INTERVAL_SECONDS = 1
sensors.abandoned_runs.BATCH_SILENCE_SECONDS = 8.0
ops.run_beats.INTERVAL_SECONDS = 1.0

_TICKING = ("clean_up_sessions", "session_requests", "abandoned_runs")


defs = only_ticking(build_definitions(os.environ), _TICKING)

__all__ = ["defs"]
