"""What passed between a RunStart and the first op of its live run, for the run's log: where a slow start was slow."""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    import dagster as dg

_PARTS = (
    "until the sensor had requested the run",
    "in the queue",
    "until its process, or its pod, was started",
    "until Python had loaded it",
    "until its first op",
)


@dataclass(frozen=True)
class StartTimes:
    """Unix times in seconds.

    Attributes
    ----------
    announced : float
        In the RunStart.
    requested : float
        When Dagster's record of the run was made.
    dequeued : float
        When the run was handed to the launcher.
    process : float
        When the run's process began.
    loaded : float
        When it had loaded the code location and began the run.
    first_op : float
        When its first op began.
    """

    announced: float
    requested: float
    dequeued: float
    process: float
    loaded: float
    first_op: float

    def as_text(self) -> str:
        """Return the parts in a sentence; clocks that differ show as times below zero."""
        times = (self.announced, self.requested, self.dequeued, self.process, self.loaded, self.first_op)
        parts = ", ".join(
            f"{after - before:.1f} s {part}" for (before, after), part in zip(pairwise(times), _PARTS, strict=True)
        )
        return f"Counting begins {self.first_op - self.announced:.1f} s after the RunStart: {parts}."


def read_start_times(context: dg.AssetExecutionContext, announced: float) -> StartTimes | None:
    """Return when the run of a step came to be; None if Dagster has not noted all of it.

    Parameters
    ----------
    context : dagster.AssetExecutionContext
        The step.
    announced : float
        The RunStart's time, Unix seconds.
    """
    stats = context.instance.get_run_stats(context.run.run_id)
    record = context.instance.get_run_record_by_id(context.run.run_id)
    if record is None or stats.launch_time is None or stats.start_time is None:
        return None
    return StartTimes(
        announced,
        record.create_timestamp.timestamp(),
        stats.launch_time,
        psutil.Process().create_time(),
        stats.start_time,
        time.time(),
    )
