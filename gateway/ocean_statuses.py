"""Compute jobs as Ocean's clients read them: times are texts, and results have no addresses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from runstart.compute import JobRecord
from runstart.compute.fairness import place_among

if TYPE_CHECKING:
    from gateway.context import Gateway

__all__ = ["tell_running", "tell_statuses", "tell_time"]


def tell_statuses(gateway: Gateway, records: Sequence[JobRecord]) -> list[dict[str, Any]]:
    """Return the status objects of jobs.

    Parameters
    ----------
    gateway : Gateway
        Knows which jobs wait.
    records : sequence of JobRecord
        The jobs.
    """
    new = {record.job_id: record for record in records if not record.status.is_final}
    # The shared reading may be older than these.
    unfinished = {record.job_id: record for record in gateway.unfinished.get()} | new if new else {}
    return [_tell(record, place_among(record.job_id, unfinished.values())) for record in records]


def tell_running(record: JobRecord) -> dict[str, Any]:
    """Return an unfinished job as `runningjobs` lists it."""
    return {**_tell_job(record), "namespace": record.environment, "chainId": record.chain_id}


def tell_time(seconds: float) -> str:
    """Return epoch seconds as a text."""
    return f"{seconds:.3f}"


def _tell(record: JobRecord, place: int | None) -> dict[str, Any]:
    results = [
        {
            "index": result.index,
            "filename": result.filename,
            "filesize": result.filesize,
            "type": result.type,
            "checksum": result.checksum,
        }
        for result in record.results
    ]
    return {
        **_tell_job(record),
        "dateFinished": None if record.finished_at is None else tell_time(record.finished_at),
        "results": "" if record.removed or not results else results,
        "stopreq": record.stopreq,
        "removed": int(record.removed),
        "reason": record.reason,
        "place": place,
    }


def _tell_job(record: JobRecord) -> dict[str, Any]:
    """Return what both Ocean's lists say of a job."""
    return {
        "agreementId": record.agreement_id,
        "jobId": record.job_id,
        "owner": record.owner,
        "status": int(record.status),
        "statusText": record.status.text,
        "dateCreated": tell_time(record.created_at),
        "algoDID": record.algorithm_did,
        "inputDID": list(record.input_dids),
    }
