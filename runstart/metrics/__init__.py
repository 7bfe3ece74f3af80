"""Figures for Prometheus: of the runs that are live, and of Dagster's daemon."""

from __future__ import annotations

from runstart.metrics.daemon import DaemonFigures, SensorFigures, read_daemon_figures, write_daemon_figures
from runstart.metrics.live_status import (
    LIVE_STATUS_FOLDER,
    LiveStatus,
    LiveStatuses,
    live_status_key,
    read_live_statuses,
)

__all__ = [
    "LIVE_STATUS_FOLDER",
    "DaemonFigures",
    "LiveStatus",
    "LiveStatuses",
    "SensorFigures",
    "live_status_key",
    "read_daemon_figures",
    "read_live_statuses",
    "write_daemon_figures",
]
