"""Values between steps that nobody needs any more: see `resources.step_values`."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

import dagster as dg

from resources.step_values import FOLDER, run_id_of

if TYPE_CHECKING:
    from runstart.storage import ObjectStore

KEEP_DAYS = 7  # as long, a run can be executed again from where it failed
_AT_ONCE = 200  # Dagster runs asked for at a time


def find_old_values(instance: dg.DagsterInstance, store: ObjectStore, now: float) -> list[str]:
    """Return the object keys of values of runs that are gone, or ended more than a week ago.

    Parameters
    ----------
    instance : DagsterInstance
        Knows the runs.
    store : ObjectStore
        Has the values.
    now : float
        Seconds since 1970.

    Raises
    ------
    Transient
        If the store does not answer.
    """
    # Values first: a run that begins meanwhile is known by then.
    keys = {run_id: list(group) for run_id, group in groupby(store.list(f"{FOLDER}/"), run_id_of)}
    needed: set[str] = set()
    run_ids = list(keys)
    for first in range(0, len(run_ids), _AT_ONCE):
        asked = dg.RunsFilter(run_ids=run_ids[first : first + _AT_ONCE])
        for record in instance.get_run_records(asked):
            ended = record.end_time or record.update_timestamp.timestamp()
            if not record.dagster_run.is_finished or ended > now - KEEP_DAYS * 86_400.0:
                needed.add(record.dagster_run.run_id)
    return [key for run_id, group in keys.items() if run_id not in needed for key in group]
