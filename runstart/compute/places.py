"""The places of an environment: as many jobs run at once as it declares, however many its queue lets through.

A place is an object that names the job which has it. It is free when there is none, or when that job has ended: nothing
has to be given back, so a job that was killed keeps no place for longer than its record is open.
"""

from __future__ import annotations

import json
from uuid import uuid4

from runstart.compute.environments import ComputeEnvironment
from runstart.compute.records import JobBook
from runstart.storage import ObjectMissing, PreconditionFailed

FOLDER = "compute/places"

LOOK_S = 2.0
"""Seconds between two looks for a free place."""


def take_place(book: JobBook, environment: ComputeEnvironment, job_id: str) -> int | None:
    """Take one of an environment's places for a job, and return its number; None if all are taken.

    Parameters
    ----------
    book : JobBook
        Knows the jobs that have places.
    environment : ComputeEnvironment
        Its `max_jobs` is how many places there are.
    job_id : str
        The job; one that has a place keeps it.
    """
    keys = (f"{FOLDER}/{environment.name}/{number}.json" for number in range(environment.max_jobs))
    return next((number for number, key in enumerate(keys) if _take(book, key, job_id)), None)


def _take(book: JobBook, key: str, job_id: str) -> bool:
    # Two who write the same would both believe that they were first.
    mine = json.dumps({"job": job_id, "by": uuid4().hex}).encode()
    try:
        stored = book.store.get(key)
    except ObjectMissing:
        return _take_new(book, key, mine)
    holder = str(json.loads(stored.data)["job"])
    if holder == job_id:
        return True
    record = book.get(holder)
    if record is not None and not record.status.is_final:
        return False
    try:
        book.store.put_if_match(key, mine, stored.etag)
    except PreconditionFailed:
        return False
    return True


def _take_new(book: JobBook, key: str, mine: bytes) -> bool:
    try:
        book.store.put_if_absent(key, mine)
    except PreconditionFailed:
        return False
    return True
