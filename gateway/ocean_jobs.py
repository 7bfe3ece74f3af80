"""What Ocean's routes do: find out who signed, see whether that may be, take the nonce, and only then do it.

A signer of no standing learns nothing: jobs of others are as good as not there.
"""

from __future__ import annotations

import logging
from typing import Any

from starlette.concurrency import run_in_threadpool

from gateway.context import Gateway
from gateway.errors import Refusal
from gateway.ocean_requests import OceanRequest
from gateway.ocean_statuses import tell_time
from gateway.signatures import Signer, recover_signer, signed_text
from runstart.compute import (
    COMPUTE_JOB,
    JobRecord,
    Result,
    find_environment,
    order_job,
    read_workflow,
    run_config,
    run_tags,
)
from runstart.compute.announcing import last_seen
from runstart.errors import Alert, Transient

__all__ = ["RESULTS_REMOVED", "fetch_result", "find_jobs", "known_environments", "start_job", "stop_jobs"]

_START = ("workflow", "agreementId", "owner", "providerSignature", "environment", "nonce")
_NOT_ALLOWED = "The signer is not allowed to act for this owner"
RESULTS_REMOVED = "The results have been removed, since their time was over"
_log = logging.getLogger(__name__)


async def start_job(gateway: Gateway, request: OceanRequest) -> JobRecord:
    """Take a job in, and launch it.

    Raises
    ------
    Refusal
        The request is not as it must be, or its signer is not allowed.
    Transient
        The store or Dagster does not answer; if it is Dagster, then nothing was done.
    """
    if not request:
        raise Refusal(400, "payload seems empty.")
    request.require(*_START)
    signer, nonce, owner = _signer(gateway, request), request.nonce(), request.owner()
    if not signer.may_start(owner, gateway.settings):
        raise Refusal(401, _NOT_ALLOWED)
    record = _order(gateway, request, owner, signer.address)
    await gateway.dagster.check()
    await run_in_threadpool(_take_in, gateway, record, signer, nonce)
    record = await run_in_threadpool(_create, gateway, record)
    try:
        await gateway.launches.launch(
            COMPUTE_JOB, f"compute/{record.job_id}", run_config(record.job_id), run_tags(record)
        )
    except (Alert, Transient) as error:
        # The job is taken in: the sensor launches those that have no run.
        _log.error("The job %s was not launched by the gateway: %s", record.job_id, error)
    return record


def find_jobs(gateway: Gateway, request: OceanRequest) -> list[JobRecord]:
    """Return the jobs that a request names and its signer may see."""
    if not (request.text("agreementId") or request.job_id() or request.owner()):
        text = f'One of "agreementId", "jobId" and "owner" is required in the call to {request.call}'
        raise Refusal(400, text)
    request.require("providerSignature", "nonce")
    _, records = _authorized(gateway, request)
    return records


def stop_jobs(gateway: Gateway, request: OceanRequest) -> list[JobRecord]:
    """Ask for the end of the jobs that a request names, and return them; those that have ended stay as they are."""
    request.require("owner", "providerSignature", "nonce")
    signer, records = _authorized(gateway, request)
    stopped = []
    for record in records:
        if not record.status.is_final:
            gateway.audit.write(signer.address, "compute.stop", record.job_id, owner=record.owner)
        stopped.append(gateway.jobs.request_stop(record.job_id))
    return stopped


def fetch_result(gateway: Gateway, request: OceanRequest) -> Result:
    """Return which result a request names, if its signer may fetch it."""
    request.require("owner", "providerSignature", "nonce", "index", "jobId")
    owner, job_id, index = request.owner(), request.job_id(), request.index()
    signer, nonce = _signer(gateway, request), request.nonce()
    if not signer.may_fetch(owner):
        raise Refusal(401, _NOT_ALLOWED)
    record = gateway.jobs.get(job_id)
    is_theirs = record is not None and record.is_owned_by(owner)
    if is_theirs or signer.is_provider:
        gateway.nonces.take(signer.address, nonce)
    if record is None or not is_theirs:
        raise Refusal(404, "This owner has no such job")
    if not signer.is_owner(owner) and record.provider != signer.address:
        raise Refusal(404, "The job was ordered by another provider")
    return _pick(record, index)


def known_environments(gateway: Gateway, chain_id: int | None) -> list[dict[str, Any]]:
    """Return what is announced of the environments that take jobs of a chain, and when each was looked after last."""
    unfinished, seen = gateway.unfinished.get(), last_seen(gateway.store)
    return [
        environment.announce(sum(record.environment == name for record in unfinished))
        | {"lastSeen": tell_time(seen[name]) if name in seen else None}
        for name, environment in gateway.environments.items()
        if environment.allows_chain(chain_id)
    ]


def _signer(gateway: Gateway, request: OceanRequest) -> Signer:
    """Return who has signed a request; the nonce is part of what is signed."""
    job_id = request.job_id() if request.call != "POST:/compute" else ""
    text = signed_text(request.owner(), job_id, request.nonce())
    return Signer.of(recover_signer(text, request.signature()), gateway.settings)


def _authorized(gateway: Gateway, request: OceanRequest) -> tuple[Signer, list[JobRecord]]:
    """Return the signer of a request, and the jobs that it names and the signer may follow; its nonce is taken."""
    signer, nonce, owner = _signer(gateway, request), request.nonce(), request.owner()
    if owner and not signer.may_follow(owner):
        raise Refusal(401, _NOT_ALLOWED)
    chain_id = request.chain_id()
    found = gateway.jobs.find(
        agreement_id=request.text("agreementId") or None, job_id=request.job_id() or None, owner=owner or None
    )
    theirs = [record for record in found if signer.may_follow(record.owner)]
    # A signature for the owner alone would start or stop jobs that come later. One for a job that is not the
    # signer's is good for nothing: strangers leave no trace in the store.
    if theirs or signer.is_provider or signer.is_admin or (owner and not request.job_id()):
        gateway.nonces.take(signer.address, nonce)
    return signer, [record for record in theirs if chain_id is None or record.chain_id in (None, chain_id)]


def _pick(record: JobRecord, index: int) -> Result:
    if record.removed:
        raise Refusal(404, RESULTS_REMOVED)
    if not record.results:
        raise Refusal(404, "The job has no results")
    for result in record.results:
        if result.index == index:
            return result
    raise Refusal(404, "The job has no result with this index")


def _order(gateway: Gateway, request: OceanRequest, owner: str, provider: str) -> JobRecord:
    chain_id, agreement_id = request.chain_id(), request.text("agreementId")
    if not agreement_id:
        raise Refusal(400, '"agreementId" must have at least 2 characters')
    try:
        workflow = read_workflow(request.get("workflow"))
        environment = find_environment(gateway.environments, request.text("environment"), chain_id)
        return order_job(
            workflow, environment, agreement_id=agreement_id, owner=owner, provider=provider, chain_id=chain_id
        )
    except Alert as alert:
        raise _as_refusal(alert) from None


def _take_in(gateway: Gateway, record: JobRecord, signer: Signer, nonce: str) -> None:
    gateway.nonces.take(signer.address, nonce)
    details = {"owner": record.owner, "environment": record.environment, "agreement": record.agreement_id}
    gateway.audit.write(signer.address, "compute.start", record.job_id, **details)


def _create(gateway: Gateway, record: JobRecord) -> JobRecord:
    try:
        return gateway.jobs.create(record)
    except Alert as alert:
        gateway.audit.write(record.provider, "compute.refused", record.job_id, reason=alert.what)
        raise _as_refusal(alert) from None


def _as_refusal(alert: Alert) -> Refusal:
    """Return Ocean's texts as they are, and our own with what can be done."""
    return Refusal(400, str(alert) if alert.what.endswith(".") else alert.what)
