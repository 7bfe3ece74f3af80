"""What makes things happen: run starts, exposures, scans, dead runs and pods, nightly work, pruning, alerts, sessions."""

from sensors.abandoned_runs import define_abandoned_runs_sensor
from sensors.alerts import define_alerts_sensor
from sensors.compute_jobs import define_compute_jobs_sensor
from sensors.exposures import define_exposures_sensor
from sensors.metrics import define_metrics_sensor
from sensors.night_schedules import define_again_schedule, define_following_sensor, define_morning_schedule
from sensors.nightly_reduction import define_nightly_reduction
from sensors.pruning import define_pruning
from sensors.run_pods import define_run_pods_sensor
from sensors.run_starts import define_run_start_sensor
from sensors.scan_announcements import define_scan_announcements_sensor
from sensors.scans import define_scans_sensor
from sensors.session_requests import define_session_requests_sensor
from sensors.sessions import define_clean_up_sensor

__all__ = [
    "define_abandoned_runs_sensor",
    "define_again_schedule",
    "define_alerts_sensor",
    "define_clean_up_sensor",
    "define_compute_jobs_sensor",
    "define_exposures_sensor",
    "define_following_sensor",
    "define_metrics_sensor",
    "define_morning_schedule",
    "define_nightly_reduction",
    "define_pruning",
    "define_run_pods_sensor",
    "define_run_start_sensor",
    "define_scan_announcements_sensor",
    "define_scans_sensor",
    "define_session_requests_sensor",
]
