"""Notes of how data operations stand, for those who follow them over HTTP: they live as long as Dagster knows their run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg

if TYPE_CHECKING:
    from runstart.storage import ObjectStore

_AT_ONCE = 200  # Dagster runs asked for at a time


def find_orphaned_notes(instance: dg.DagsterInstance, store: ObjectStore) -> list[str]:
    """Return the object keys of notes of runs that Dagster knows no longer.

    Parameters
    ----------
    instance : DagsterInstance
        Knows the runs.
    store : ObjectStore
        Has the notes.

    Raises
    ------
    Transient
        If the store does not answer.
    """
    from runstart.operation_kit.following import list_notes

    # Notes first: a run that begins meanwhile is known by then.
    notes = list_notes(store)
    run_ids = list(notes)
    for first in range(0, len(run_ids), _AT_ONCE):
        for run in instance.get_runs(dg.RunsFilter(run_ids=run_ids[first : first + _AT_ONCE])):
            del notes[run.run_id]
    return list(notes.values())
