"""How the Dagster run of a compute job is asked for, by whoever asks: its configuration and its tags.

A gateway launches a job's run as soon as it has taken the job, and a sensor those that a dying gateway left without one.
Should both do so, the run that comes first takes the job, and the other ends at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runstart.compute.job_record import owner_hash

if TYPE_CHECKING:
    from runstart.compute.job_record import JobRecord

COMPUTE_JOB = "compute_to_data"
KIND_TAG, KIND = "runstart/kind", "compute"
JOB_TAG = "runstart/compute_job"
OWNER_TAG = "runstart/owner"
ENVIRONMENT_TAG = "runstart/compute_environment"


def run_config(job_id: str) -> dict[str, str]:
    """Return the configuration of a job's run."""
    return {"job_id": job_id}


def run_tags(record: JobRecord) -> dict[str, str]:
    """Return the tags of a job's run: what the queue orders and counts by, and what people search by.

    Parameters
    ----------
    record : JobRecord
        As `JobBook.create` returned it.
    """
    return {
        KIND_TAG: KIND,
        JOB_TAG: record.job_id,
        OWNER_TAG: owner_hash(record.owner),
        ENVIRONMENT_TAG: record.environment,
        "dagster/priority": str(record.priority),
        "dagster/max_retries": "0",  # a job ends once
    }
