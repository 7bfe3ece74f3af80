"""Starts tasks and removes them: one interface, and its embedded implementation by processes."""

from runstart.launchers.finding import find_isolation
from runstart.launchers.isolation import LEVELS, Isolation
from runstart.launchers.launcher import (
    Ended,
    Launcher,
    LaunchSpec,
    Limits,
    ListedNetwork,
    ListedTask,
    Mount,
    Reason,
    Task,
)
from runstart.launchers.subprocess_launcher import SubprocessLauncher

__all__ = [
    "LEVELS",
    "Ended",
    "Isolation",
    "LaunchSpec",
    "Launcher",
    "Limits",
    "ListedNetwork",
    "ListedTask",
    "Mount",
    "Reason",
    "SubprocessLauncher",
    "Task",
    "find_isolation",
]
