"""Whose turn it is: who has many unfinished jobs waits with the next one until others have had as many.

The order is made when a job is taken: its run's priority in Dagster's queue is 0 for its owner's first unfinished job, and
one less for each that the owner has already. So the owner of one job never waits behind somebody's twentieth.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from runstart.compute.statuses import Status

if TYPE_CHECKING:
    from runstart.compute.records import JobRecord


def priority_of(unfinished: int) -> int:
    """Return the priority of a new job whose owner has so many unfinished ones."""
    return -unfinished


def place_among(job_id: str, records: Iterable[JobRecord]) -> int | None:
    """Return a waiting job's place in the queue of its environment, 1 for the next; None if it does not wait.

    Parameters
    ----------
    job_id : str
        The job.
    records : iterable of JobRecord
        The unfinished jobs.
    """
    waiting = [record for record in records if record.status is Status.WARMING_UP]
    mine = next((record for record in waiting if record.job_id == job_id), None)
    if mine is None:
        return None
    rivals = [record for record in waiting if record.environment == mine.environment]
    return 1 + sum(_turn(rival) < _turn(mine) for rival in rivals)


def _turn(record: JobRecord) -> tuple[int, float, str]:
    return (-record.priority, record.created_at, record.job_id)
