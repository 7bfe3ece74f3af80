"""The code location with shorter patience, so that a test need not wait minutes for a dead run to be noticed."""

from __future__ import annotations

import functools

import runstart.live
import sensors.abandoned_runs
from definitions import defs

runstart.live.Launch = functools.partial(runstart.live.Launch, lease_seconds=3.0)  # type: ignore[assignment,misc]
sensors.abandoned_runs.STARTING_SECONDS = 20.0

__all__ = ["defs"]
