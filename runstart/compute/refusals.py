"""What the record of a compute job does not allow, each with the record as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runstart.errors import Alert

if TYPE_CHECKING:
    from runstart.compute.job_record import JobRecord


class DamagedRecord(Alert):
    """What stands in the place of a record is none, or one of another version.

    Parameters
    ----------
    job_id : str
        The job.
    """

    def __init__(self, job_id: str) -> None:
        super().__init__(
            f"The record of the compute job {job_id} cannot be read.",
            f"Restore compute/jobs/{job_id}.json, or remove it with compute/open/{job_id}: the job is unknown then.",
        )


class Refused(Exception):
    """A change that a job's record does not allow.

    Parameters
    ----------
    record : JobRecord
        As it is.
    """

    def __init__(self, record: JobRecord) -> None:
        super().__init__(f"The job {record.job_id} is in the state: {record.status.text}.")
        self.record = record


class JobEnded(Refused):
    """A job is in its last state, which does not change."""


class JobTaken(Refused):
    """Another run carries a job out."""


class StopAsked(Refused):
    """A job cannot be finished any more, because a stop was asked for before."""
