"""What exists: live runs, nights, and scans."""

from assets.live_runs import (
    INSTRUMENT_TAG,
    LiveRuns,
    define_live_runs,
    live_reduction_job_name,
    live_run_key,
    live_run_partitions,
)
from assets.nights import NIGHTS_PER_RUN, SITE_TAG, Nights, define_nights, night_job_name, night_partitions
from assets.scans import MICROSCOPE_TAG, Scans, define_scans, scan_job_name, scan_partitions

__all__ = [
    "INSTRUMENT_TAG",
    "MICROSCOPE_TAG",
    "NIGHTS_PER_RUN",
    "SITE_TAG",
    "LiveRuns",
    "Nights",
    "Scans",
    "define_live_runs",
    "define_nights",
    "define_scans",
    "live_reduction_job_name",
    "live_run_key",
    "live_run_partitions",
    "night_job_name",
    "night_partitions",
    "scan_job_name",
    "scan_partitions",
]
