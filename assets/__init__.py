"""What exists: live runs."""

from assets.live_runs import (
    BATCH,
    INSTRUMENT_TAG,
    KIND_TAG,
    LIVE,
    LiveRuns,
    define_live_runs,
    live_reduction_job_name,
    live_run_key,
    live_run_partitions,
)

__all__ = [
    "BATCH",
    "INSTRUMENT_TAG",
    "KIND_TAG",
    "LIVE",
    "LiveRuns",
    "define_live_runs",
    "live_reduction_job_name",
    "live_run_key",
    "live_run_partitions",
]
