"""What exists: live runs, and nights."""

from assets.live_runs import (
    INSTRUMENT_TAG,
    LiveRuns,
    define_live_runs,
    live_reduction_job_name,
    live_run_key,
    live_run_partitions,
)
from assets.nights import NIGHTS_PER_RUN, SITE_TAG, Nights, define_nights, night_job_name, night_partitions

__all__ = [
    "INSTRUMENT_TAG",
    "NIGHTS_PER_RUN",
    "SITE_TAG",
    "LiveRuns",
    "Nights",
    "define_live_runs",
    "define_nights",
    "live_reduction_job_name",
    "live_run_key",
    "live_run_partitions",
    "night_job_name",
    "night_partitions",
]
