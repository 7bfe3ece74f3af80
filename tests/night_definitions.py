"""The code location with short intervals, and of what ticks by itself only what a test has named.

`NIGHT_TEST_TICKING` names sensors and schedules, separated by spaces; `NIGHT_TEST_SILENCE` says after how many seconds of
silence a run counts as dead.
"""

from __future__ import annotations

import os

from ticking import only_ticking

import ops.run_beats
import sensors.abandoned_runs
import sensors.exposures
import sensors.night_schedules
from definitions import build_definitions

sensors.exposures.INTERVAL_SECONDS = 1
sensors.night_schedules.FOLLOW_SECONDS = 2
if _silence := os.environ.get("NIGHT_TEST_SILENCE"):
    sensors.abandoned_runs.BATCH_SILENCE_SECONDS = float(_silence)
    ops.run_beats.INTERVAL_SECONDS = 1.0


defs = only_ticking(build_definitions(os.environ), os.environ.get("NIGHT_TEST_TICKING", "").split())

__all__ = ["defs"]
