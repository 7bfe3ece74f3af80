"""Starts tasks and removes them: one interface, implemented by processes of this machine, containers and pods."""

from runstart.launchers._image_names import ImagePolicy
from runstart.launchers.docker_launcher import DockerLauncher
from runstart.launchers.finding import find_isolation
from runstart.launchers.isolation import LEVELS, Isolation
from runstart.launchers.kubernetes_launcher import KubernetesLauncher
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
from runstart.launchers.opening import open_launcher
from runstart.launchers.subprocess_launcher import SubprocessLauncher

__all__ = [
    "LEVELS",
    "DockerLauncher",
    "Ended",
    "ImagePolicy",
    "Isolation",
    "KubernetesLauncher",
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
    "open_launcher",
]
