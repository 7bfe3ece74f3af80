"""The code location in which only the sensors of scans tick, and a silent run counts as dead after a few seconds."""

from __future__ import annotations

import os

from ticking import only_ticking

import ops.run_beats
import sensors.abandoned_runs
import sensors.scans
from definitions import build_definitions

sensors.scans.INTERVAL_SECONDS = 1
sensors.abandoned_runs.BATCH_SILENCE_SECONDS = 8.0
ops.run_beats.INTERVAL_SECONDS = 1.0


defs = only_ticking(build_definitions(os.environ), ("scans_SIMSTEM", "abandoned_runs"))

__all__ = ["defs"]
