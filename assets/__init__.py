"""What exists: live runs, nights, scans, and what operators, pipelines and probes put out."""

from assets.live_runs import (
    INSTRUMENT_TAG,
    LiveRuns,
    define_live_runs,
    live_reduction_job_name,
    live_run_key,
    live_run_partitions,
)
from assets.nights import NIGHTS_PER_RUN, SITE_TAG, Nights, define_nights, night_job_name, night_partitions
from assets.pipelines import (
    define_operator_assets,
    define_pipeline_assets,
    define_probe_asset,
    define_wrong_pipelines,
)
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
    "define_operator_assets",
    "define_pipeline_assets",
    "define_probe_asset",
    "define_scans",
    "define_wrong_pipelines",
    "live_reduction_job_name",
    "live_run_key",
    "live_run_partitions",
    "night_job_name",
    "night_partitions",
    "scan_job_name",
    "scan_partitions",
]
