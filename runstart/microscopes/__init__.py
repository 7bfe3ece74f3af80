"""Microscopes that a facility declares: where their scans arrive, and what is computed of them."""

from __future__ import annotations

from runstart.microscopes.model import (
    Announcements,
    BeamCompensation,
    Calibration,
    Microscope,
    Phase,
    Pods,
    Toleration,
)
from runstart.microscopes.reading import (
    MICROSCOPES_VARIABLE,
    SCANS_VARIABLE,
    check_clusters,
    find_microscopes_file,
    read_microscopes,
)

__all__ = [
    "MICROSCOPES_VARIABLE",
    "SCANS_VARIABLE",
    "Announcements",
    "BeamCompensation",
    "Calibration",
    "Microscope",
    "Phase",
    "Pods",
    "Toleration",
    "check_clusters",
    "find_microscopes_file",
    "read_microscopes",
]
