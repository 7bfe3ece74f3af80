"""Compute jobs: algorithms of strangers run beside the data, and only their results leave."""

from runstart.compute.environments import ComputeEnvironment, read_environments
from runstart.compute.job_record import JobRecord, Result, owner_hash
from runstart.compute.launching import COMPUTE_JOB, JOB_TAG, run_config, run_tags
from runstart.compute.records import JobBook, JobEnded
from runstart.compute.requests import find_environment, order_job
from runstart.compute.statuses import FINAL, Status
from runstart.compute.workflow import Workflow, read_workflow

__all__ = [
    "COMPUTE_JOB",
    "FINAL",
    "JOB_TAG",
    "ComputeEnvironment",
    "JobBook",
    "JobEnded",
    "JobRecord",
    "Result",
    "Status",
    "Workflow",
    "find_environment",
    "order_job",
    "owner_hash",
    "read_environments",
    "read_workflow",
    "run_config",
    "run_tags",
]
