"""Keeping house: which runs are reduced again at night, and what of old runs is given up."""

from runstart.upkeep.examination import Examination, Launches, examine_runs
from runstart.upkeep.orphans import find_orphaned_status
from runstart.upkeep.pruning import KnownRun, Limits, PruningPlan, plan_pruning
from runstart.upkeep.reduce_again import (
    Choice,
    Code,
    Made,
    Reason,
    Rules,
    RunState,
    choose_runs,
    start_of_key,
)

__all__ = [
    "Choice",
    "Code",
    "Examination",
    "KnownRun",
    "Launches",
    "Limits",
    "Made",
    "PruningPlan",
    "Reason",
    "Rules",
    "RunState",
    "choose_runs",
    "examine_runs",
    "find_orphaned_status",
    "plan_pruning",
    "start_of_key",
]
