"""Removes results when their time is over; the record stays and says so.

A mark with its time is put before a job ends with results, or is ended for a run that may have published some, so that
none is forgotten; what is due is found by listing marks, not by reading every record.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime

from runstart.compute.publish import discard_results
from runstart.compute.records import DamagedRecord, JobBook

FOLDER = "compute/expiry"

_FORMAT = "%Y%m%dT%H%M%SZ"


def mark_expiry(book: JobBook, job_id: str, expires_at: float) -> None:
    """Note when the results of a job go.

    Parameters
    ----------
    book : JobBook
        The jobs.
    job_id : str
        The job.
    expires_at : float
        Unix time in seconds.
    """
    book.store.put(f"{FOLDER}/{_stamp(expires_at)}/{job_id}", b"")


def remove_expired(book: JobBook, now: float | None = None) -> list[str]:
    """Remove the results whose time is over, and return their jobs.

    Parameters
    ----------
    book : JobBook
        The jobs.
    now : float, optional
        Unix time in seconds.
    """
    until = _stamp(time.time() if now is None else now)
    removed = []
    for key in book.store.list(f"{FOLDER}/"):
        _, _, stamp, job_id = key.split("/")
        if stamp > until:
            break
        try:
            record = book.get(job_id)
        except DamagedRecord:
            continue  # whoever mends or removes it decides
        if record is not None and not record.status.is_final:
            continue  # its run died before its end: the sensor that ends it decides
        if record is None or not record.results:
            discard_results(book.store, job_id)
        elif not record.removed and record.expires_at is not None and _stamp(record.expires_at) <= until:
            discard_results(book.store, job_id)
            book.forget_results(job_id)
            removed.append(job_id)
        book.store.delete(key)
    return removed


def _stamp(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime(_FORMAT)
