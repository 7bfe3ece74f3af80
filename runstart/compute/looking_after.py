"""Looks after jobs whose run has died, hangs, or was never launched, and after what they have left on this machine.

A job's own run ends it as long as that run lives; here it is ended by others, with what is known. Each of these may be
done twice, or by two at once: a record's last state is the first that was written.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from runstart.compute.confined import JOB_LABEL, STORE_LABEL
from runstart.compute.environments import ComputeEnvironment
from runstart.compute.expiry import mark_expiry
from runstart.compute.folders import find_job_folders, remove_job_folder
from runstart.compute.job_record import JobRecord
from runstart.compute.notices import NOBODY, Notices
from runstart.compute.publish import discard_results
from runstart.compute.records import DamagedRecord, JobBook, JobEnded
from runstart.compute.statuses import Status, failure_of
from runstart.launchers import Launcher
from runstart.sessions.store_identity import store_identity

HANGS_AFTER_S = 300.0
"""Seconds beyond the time of its phase after which a job counts as hung."""


def end_dead_job(
    book: JobBook,
    record: JobRecord,
    why: str,
    *,
    was_stopped: bool,
    notices: Notices = NOBODY,
    tell: Callable[[str], None] = lambda _text: None,
) -> JobRecord:
    """End a job that nothing carries out any more, and return its record.

    Parameters
    ----------
    book : JobBook
        Knows it.
    record : JobRecord
        As it is.
    why : str
        What has become of its run, in a sentence.
    was_stopped : bool
        Whether somebody terminated its run.
    notices : Notices, optional
        Who is told of its end, if this is it.
    tell : callable, optional
        Gets a sentence if that fails.
    """
    if record.stopreq == 2:
        status = Status.TIMED_OUT
    elif record.stopreq == 1 or was_stopped:
        status = Status.STOPPED
    else:
        status = failure_of(record.status)
    # What its run may have published goes with the mark if this is cut off; only if its end is this one.
    mark_expiry(book, record.job_id, time.time())
    try:
        ended = book.advance(record.job_id, status, reason=why)
    except JobEnded as already:
        return already.record
    discard_results(book.store, record.job_id)
    notices.ended(ended, tell)
    return ended


def overdue_s(
    record: JobRecord, environments: Mapping[str, ComputeEnvironment], place_s: float, now: float
) -> float:
    """Return for how many seconds a job has been in its state longer than it can; negative while it may.

    Parameters
    ----------
    record : JobRecord
        The job; one that waits is never overdue.
    environments : mapping of str to ComputeEnvironment
        With the times that phases may take.
    place_s : float
        Seconds that its programs may wait for their place.
    now : float
        Unix time in seconds.
    """
    environment = environments.get(record.environment)
    if record.status is Status.WARMING_UP or environment is None:
        return -1.0
    seconds = max(record.max_s, environment.max_phase_s) + place_s + HANGS_AFTER_S
    return now - record.history[-1].at - seconds


def clean_machine(book: JobBook, launcher: Launcher, root: Path) -> list[str]:
    """Remove processes, containers and folders of jobs that have ended, and return what was removed.

    Parameters
    ----------
    book : JobBook
        Knows the jobs; what another store's jobs have is not touched.
    launcher : Launcher
        Lists and removes tasks.
    root : Path
        In which folders of jobs are.
    """
    return [*_remove_tasks(book, launcher), *clean_folders(book, root)]


def clean_folders(book: JobBook, root: Path) -> list[str]:
    """Remove folders of jobs that have ended, and return what was removed.

    Where the root is not there, or cannot be written, nothing is done: that is left to those who can.

    Parameters
    ----------
    book : JobBook
        Knows the jobs.
    root : Path
        In which folders of jobs are.
    """
    if not os.access(root, os.W_OK):
        return []
    removed = []
    # What is there is listed before the records are read: nothing of a job that has just begun is taken for lost.
    for job_id, path in find_job_folders(root, store_identity(book.store)).items():
        if _is_over(book, job_id):
            remove_job_folder(path)
            removed.append(f"Removed the folder of the job {job_id}.")
    return removed


def time_out(book: JobBook, record: JobRecord) -> None:
    """Note that a job has run out of time; its run, or whoever finds it dead, ends it so."""
    with contextlib.suppress(JobEnded, ValueError):  # it has gone on meanwhile
        book.advance(record.job_id, record.status, stopreq=2)


def is_stale(record: JobRecord, seconds: float) -> bool:
    """Tell whether a job was ordered longer ago than so many seconds."""
    return time.time() - record.created_at > seconds


def _remove_tasks(book: JobBook, launcher: Launcher) -> list[str]:
    removed = []
    for listed in launcher.list({STORE_LABEL: store_identity(book.store)}):
        job_id = listed.labels.get(JOB_LABEL)
        if job_id is not None and _is_over(book, job_id):
            launcher.remove(listed.task)
            removed.append(f"Removed {listed.task.name} of the job {job_id}.")
    return removed


def _is_over(book: JobBook, job_id: str) -> bool:
    try:
        record = book.get(job_id)
    except DamagedRecord:
        return False  # whether it is, is not known
    return record is None or record.status.is_final
