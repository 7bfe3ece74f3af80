"""What makes things happen: run starts, dead runs, nightly work, pruning, who is told what, what Prometheus reads."""

from sensors.abandoned_runs import define_abandoned_runs_sensor
from sensors.alerts import define_alerts_sensor
from sensors.metrics import define_metrics_sensor
from sensors.nightly_reduction import define_nightly_reduction
from sensors.pruning import define_pruning
from sensors.run_starts import define_run_start_sensor

__all__ = [
    "define_abandoned_runs_sensor",
    "define_alerts_sensor",
    "define_metrics_sensor",
    "define_nightly_reduction",
    "define_pruning",
    "define_run_start_sensor",
]
