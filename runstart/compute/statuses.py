"""The states of a compute job, by Ocean's numbers, and which of them are the last.

Ocean ends a job that was stopped, that ran out of time or whose algorithm failed as finished. Here each of these has a
number of its own, beside Ocean's: a job is finished only if its results are there.
"""

from __future__ import annotations

from enum import IntEnum


class Status(IntEnum):
    """What a job is doing, or how it ended."""

    WARMING_UP = 1
    STARTED = 10
    CONFIGURING_VOLUMES = 20
    PROVISIONED = 30
    DATA_PROVISIONING_FAILED = 31
    ALGORITHM_PROVISIONING_FAILED = 32
    RUNNING_ALGORITHM = 40
    ALGORITHM_FAILED = 41
    FILTERING = 50
    FILTER_FAILED = 51
    PUBLISHING = 60
    PUBLISHING_FAILED = 61
    FINISHED = 70
    STOPPED = 71
    TIMED_OUT = 72

    @property
    def text(self) -> str:
        """What clients are told."""
        return _TEXTS[self]

    @property
    def is_final(self) -> bool:
        """Whether the job has ended."""
        return self in FINAL


_TEXTS = {
    Status.WARMING_UP: "Warming up",
    Status.STARTED: "Job started",
    Status.CONFIGURING_VOLUMES: "Configuring volumes",
    Status.PROVISIONED: "Provisioning success",
    Status.DATA_PROVISIONING_FAILED: "Data provisioning failed",
    Status.ALGORITHM_PROVISIONING_FAILED: "Algorithm provisioning failed",
    Status.RUNNING_ALGORITHM: "Running algorithm",
    Status.ALGORITHM_FAILED: "Algorithm failed",
    Status.FILTERING: "Filtering results",
    Status.FILTER_FAILED: "Filter failed",
    Status.PUBLISHING: "Publishing results",
    Status.PUBLISHING_FAILED: "Publishing failed",
    Status.FINISHED: "Job finished",
    Status.STOPPED: "Job stopped",
    Status.TIMED_OUT: "Job timed out",
}

FINAL = frozenset(
    {
        Status.DATA_PROVISIONING_FAILED,
        Status.ALGORITHM_PROVISIONING_FAILED,
        Status.ALGORITHM_FAILED,
        Status.FILTER_FAILED,
        Status.PUBLISHING_FAILED,
        Status.FINISHED,
        Status.STOPPED,
        Status.TIMED_OUT,
    }
)

_FAILURES = {
    Status.WARMING_UP: Status.DATA_PROVISIONING_FAILED,
    Status.STARTED: Status.DATA_PROVISIONING_FAILED,
    Status.CONFIGURING_VOLUMES: Status.DATA_PROVISIONING_FAILED,
    Status.PROVISIONED: Status.ALGORITHM_FAILED,
    Status.RUNNING_ALGORITHM: Status.ALGORITHM_FAILED,
    Status.FILTERING: Status.FILTER_FAILED,
    Status.PUBLISHING: Status.PUBLISHING_FAILED,
}


def failure_of(status: Status) -> Status:
    """Return the state in which a job ends that breaks off while it is in another.

    Parameters
    ----------
    status : Status
        What it was doing; not a final state.

    Raises
    ------
    KeyError
        If it had ended.
    """
    return _FAILURES[status]
