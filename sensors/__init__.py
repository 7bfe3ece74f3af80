"""What makes things happen: run starts, and runs whose process is gone."""

from sensors.abandoned_runs import define_abandoned_runs_sensor
from sensors.run_starts import define_run_start_sensor

__all__ = ["define_abandoned_runs_sensor", "define_run_start_sensor"]
