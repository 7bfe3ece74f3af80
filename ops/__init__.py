"""What can be done, as Dagster steps: live reduction, data operations, the making of nights, sessions, compute jobs."""

from ops.compute_to_data import define_compute_job
from ops.data_operations import define_data_operations, define_operation_outputs
from ops.live_reduction import reduce_live
from ops.operator_jobs import define_operator_jobs
from ops.pipeline_sessions import define_pipeline_jobs, load_pipelines
from ops.probe_session import define_probe_job

__all__ = [
    "define_compute_job",
    "define_data_operations",
    "define_operation_outputs",
    "define_operator_jobs",
    "define_pipeline_jobs",
    "define_probe_job",
    "load_pipelines",
    "reduce_live",
]
