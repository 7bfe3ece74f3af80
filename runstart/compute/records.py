"""What is known of compute jobs, in the object store: one record a job, which is changed only as long as it has not ended.

Each change is put on condition that the record is the one that was read, so that any number of gateways, runs and
sensors act on a job together and it ends once. Beside the record lie marks by which jobs are found: of those that have
not ended, of each owner, and of each agreement, which has at most one unfinished job at a time. The mark of an unfinished
job is put before its record and goes after its end: a crash in between leaves a mark too many, never one too few.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from pydantic import ValidationError

from runstart.compute.agreements import claim_agreement, jobs_of_agreement
from runstart.compute.fairness import place_among, priority_of
from runstart.compute.job_record import JobRecord, Result, StatusChange, owner_hash
from runstart.compute.refusals import DamagedRecord, JobEnded, JobTaken, StopAsked
from runstart.compute.statuses import Status
from runstart.storage import ObjectMissing, ObjectStore, PreconditionFailed

__all__ = ["DamagedRecord", "JobBook", "JobEnded", "JobRecord", "JobTaken", "Result", "StopAsked", "owner_hash"]

JOBS = "compute/jobs"
OPEN = "compute/open"
OWNERS = "compute/owners"
RESULTS = "compute/results"
MOST_OF_OWNER = 200
"""How many jobs of an owner are found that have ended; older ones are found by their name or agreement."""

UNBORN_AFTER_S = 60.0
"""Seconds after which a mark without a record is what a crash has left."""

_JOB_ID = re.compile(r"[0-9a-f]{32}")
_CONTESTED_TRIES = 50
_LATEST_MS = 10**13 - 1
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class JobBook:
    """The compute jobs of a facility.

    Parameters
    ----------
    store : ObjectStore
        Keeps them. Each method raises `Transient` if it does not answer.
    """

    store: ObjectStore

    def create(self, record: JobRecord) -> JobRecord:
        """Take a new job in, and return its record with its place in the order.

        Parameters
        ----------
        record : JobRecord
            The job.

        Raises
        ------
        Alert
            Its agreement has an unfinished job.
        """
        claim_agreement(self.store, record.agreement_id, record.job_id, self._is_unfinished)
        unfinished = self._unfinished_of(record.owner)
        mark = json.dumps({"owner": owner_hash(record.owner), "at": record.created_at}).encode()
        self.store.put(f"{OPEN}/{record.job_id}", mark)
        self.store.put(owner_key(record), mark)
        record = record.model_copy(
            update={
                "priority": priority_of(len(unfinished)),
                "history": (StatusChange(status=record.status, at=record.created_at),),
            }
        )
        self.store.put_if_absent(_job_key(record.job_id), _encode(record))
        return record

    def get(self, job_id: str) -> JobRecord | None:
        """Return a job, or None if there is none of this name.

        Raises
        ------
        DamagedRecord
            Its record cannot be read.
        """
        found = self._read(job_id)
        return None if found is None else found[0]

    def find(
        self, *, agreement_id: str | None = None, job_id: str | None = None, owner: str | None = None
    ) -> list[JobRecord]:
        """Return the jobs to which all that is given applies, the oldest first.

        Of an owner, these are all that have not ended, and the newest `MOST_OF_OWNER` beside them.

        Raises
        ------
        ValueError
            Nothing is given.
        """
        if job_id is not None:
            candidates: Iterable[str] = [job_id]
        elif agreement_id is not None:
            candidates = jobs_of_agreement(self.store, agreement_id)
        elif owner is not None:
            jobs = self._jobs_of_owner(owner)
            candidates = {*jobs[:MOST_OF_OWNER], *set(jobs).intersection(self.open_ids())}
        else:
            message = "Nothing says which jobs."
            raise ValueError(message)
        return [
            record
            for record in self._records(candidates)
            if (agreement_id is None or record.agreement_id == agreement_id)
            and (owner is None or record.is_owned_by(owner))
        ]

    def running(self) -> list[JobRecord]:
        """Return the jobs that have not ended, the oldest first."""
        return [record for record in self._records(self.open_ids()) if not record.status.is_final]

    def open_ids(self) -> list[str]:
        """Return the names of the jobs that are marked as unfinished; a few of them may have ended."""
        return [key.rpartition("/")[2] for key in self.store.list(f"{OPEN}/")]

    def claim(self, job_id: str, run_id: str) -> JobRecord:
        """Let a run carry a waiting job out, and return its record.

        Parameters
        ----------
        job_id, run_id : str
            The job, and the run.

        Raises
        ------
        JobTaken
            Another run has it.
        JobEnded
            It is in its last state.
        LookupError
            There is no such job.
        """

        def change(record: JobRecord) -> JobRecord:
            if record.status.is_final:
                raise JobEnded(record)
            if record.run_id == run_id and record.status is Status.STARTED:
                return record  # the answer to the first try was lost
            if record.run_id:
                raise JobTaken(record)
            return _in_state(record, Status.STARTED, run_id=run_id)

        return self._change(job_id, change)

    def advance(self, job_id: str, status: Status, **fields: Any) -> JobRecord:
        """Bring a job into another state, and return its record.

        Parameters
        ----------
        job_id : str
            The job.
        status : Status
            The state; the last one is never left.
        **fields
            What else of the record changes.

        Raises
        ------
        JobEnded
            It is in its last state.
        StopAsked
            It was to be finished, but a stop was asked for before.
        LookupError
            There is no such job.
        ValueError
            It was in a later state already.
        """

        def change(record: JobRecord) -> JobRecord:
            if record.status.is_final:
                raise JobEnded(record)
            if status < record.status:
                message = f"The job {job_id} is in state {record.status}, which is later than {status}."
                raise ValueError(message)
            if status is Status.FINISHED and record.stopreq == 1:
                raise StopAsked(record)
            return _in_state(record, status, **fields)

        record = self._change(job_id, change)
        if record.status.is_final:
            self.close(job_id)
        return record

    def request_stop(self, job_id: str) -> JobRecord:
        """Ask for a job's end, and return its record; one that has ended stays as it is.

        Raises
        ------
        LookupError
            There is no such job.
        """

        def change(record: JobRecord) -> JobRecord:
            if record.status.is_final:
                raise JobEnded(record)
            return record.model_copy(update={"stopreq": 1}) if record.stopreq == 0 else record

        try:
            return self._change(job_id, change)
        except JobEnded as ended:
            return ended.record

    def forget_results(self, job_id: str) -> JobRecord:
        """Note that the results of a job that has ended are gone; the record stays.

        Raises
        ------
        LookupError
            There is no such job.
        """
        return self._change(job_id, lambda record: record.model_copy(update={"removed": True}))

    def place_in_queue(self, job_id: str) -> int | None:
        """Return a waiting job's place in the queue of its environment, 1 for the next; None if it does not wait.

        It is the order now: somebody who has fewer unfinished jobs may yet come between.
        """
        return place_among(job_id, self.running())

    def close(self, job_id: str) -> None:
        """Take the mark of an unfinished job away, once it has ended."""
        self.store.delete(f"{OPEN}/{job_id}")

    def sweep(self) -> list[str]:
        """Take away marks of jobs that have ended, or were never there because a gateway died, and return their names."""
        swept = []
        for job_id in self.open_ids():
            with contextlib.suppress(DamagedRecord):  # it is told where records are listed
                record = self.get(job_id)
                if record.status.is_final if record is not None else self._is_stillborn(job_id):
                    self.close(job_id)
                    swept.append(job_id)
        return swept

    def _change(self, job_id: str, change: Callable[[JobRecord], JobRecord]) -> JobRecord:
        for _ in range(_CONTESTED_TRIES):
            found = self._read(job_id)
            if found is None:
                message = f"There is no job {job_id!r}."
                raise LookupError(message)
            record, etag = found
            changed = change(record)
            if changed is record:
                return record
            changed = changed.model_copy(update={"changed_by": uuid4().hex})
            with contextlib.suppress(PreconditionFailed):
                self.store.put_if_match(_job_key(job_id), _encode(changed), etag)
                return changed
        message = f"The record of the job {job_id} is changed by others without end."
        raise RuntimeError(message)

    def _read(self, job_id: str) -> tuple[JobRecord, str] | None:
        if not _JOB_ID.fullmatch(job_id):
            return None
        try:
            stored = self.store.get(_job_key(job_id))
        except ObjectMissing:
            return None
        try:
            return JobRecord.model_validate_json(stored.data), stored.etag
        except ValidationError as error:
            raise DamagedRecord(job_id) from error

    def _records(self, job_ids: Iterable[str]) -> list[JobRecord]:
        """Return the records that can be read; one that cannot is told, and hides no other."""
        found = []
        for job_id in job_ids:
            try:
                record = self.get(job_id)
            except DamagedRecord as damaged:
                _logger.error("%s", damaged)
                continue
            found += [] if record is None else [record]
        return sorted(found, key=lambda record: (record.created_at, record.job_id))

    def _is_unfinished(self, job_id: str, claimed_at: float) -> bool:
        record = self.get(job_id)
        # Between the claim of its agreement and its record a gateway may have died.
        return time.time() - claimed_at < UNBORN_AFTER_S if record is None else not record.status.is_final

    def _is_stillborn(self, job_id: str) -> bool:
        try:
            mark: Mapping[str, Any] = json.loads(self.store.get(f"{OPEN}/{job_id}").data)
        except ObjectMissing:
            return True
        return time.time() - float(mark["at"]) >= UNBORN_AFTER_S

    def _jobs_of_owner(self, owner: str) -> list[str]:
        """Return the names of an owner's jobs, the newest first."""
        return [key.rpartition("-")[2] for key in self.store.list(f"{OWNERS}/{owner_hash(owner)}/")]

    def _unfinished_of(self, owner: str) -> set[str]:
        return set(self.open_ids()) & set(self._jobs_of_owner(owner))


def owner_key(record: JobRecord) -> str:
    """Return the object by which a job is found among its owner's."""
    newest_first = _LATEST_MS - int(record.created_at * 1000)
    return f"{OWNERS}/{owner_hash(record.owner)}/{newest_first:013d}-{record.job_id}"


def _in_state(record: JobRecord, status: Status, **fields: Any) -> JobRecord:
    now = time.time()
    update: dict[str, Any] = {**fields, "status": status}
    if status != record.status:
        update["history"] = (*record.history, StatusChange(status=status, at=now))
    if status.is_final:
        update["finished_at"] = now
    return record.model_copy(update=update)


def _job_key(job_id: str) -> str:
    return f"{JOBS}/{job_id}.json"


def _encode(record: JobRecord) -> bytes:
    return record.model_dump_json(by_alias=True).encode()
