"""The code location without its sensors: a daemon starts nothing by itself but schedules and backfills."""

from __future__ import annotations

from ticking import only_ticking

import definitions  # Dagster takes one Definitions object in a module: the one below

defs = only_ticking(definitions.defs, {schedule.name for schedule in definitions.defs.schedules or ()})

__all__ = ["defs"]
