"""Ocean's routes for administrators, which the reference wrote and never registered.

The reference believes whoever writes an administrator's address into the header `Admin`; addresses are public. Here the
address's owner must sign the request as every other one, or a bearer token with the scope admin is sent instead.
"""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

from gateway.context import Credentials, Gateway, TheGateway, caller_of, open_route
from gateway.errors import Refusal, answers
from gateway.ocean_jobs import known_environments
from gateway.ocean_models import JOB_ID, OWNER, SIGNATURE, Environment, JobStatus
from gateway.ocean_requests import OceanRequest
from gateway.ocean_statuses import tell_statuses
from gateway.signatures import Signer, is_address, recover_signer, signed_text
from gateway.tokens import Scope
from runstart import __version__
from runstart.compute import JobRecord

_ADMINS = open_route("an administrator's signature, or a bearer token")
_PREFIX = "/api/v1/operator"
_LONGEST_LOG = 1024 * 1024
_LOGS = {
    "configure": "configrationLog",
    "algorithm": "algorithmLog",
    "filter": "filteringLog",
    "publish": "publishLog",
}


class Message(BaseModel):
    """What was done."""

    message: str


class Information(BaseModel):
    """What runs here."""

    software: str
    version: str
    environments: list[Environment]
    unfinishedJobs: int  # noqa: N815 - as Ocean names things


async def _administers(
    request: Request,
    gateway: TheGateway,
    credentials: Credentials,
    admin: Annotated[
        str,
        Header(
            alias="Admin", description="An administrator's address, if no bearer token is sent.", examples=[OWNER]
        ),
    ] = "",
    signature: Annotated[
        str,
        Query(
            alias="providerSignature",
            description="Of the address, the jobId if it is given, and the nonce.",
            examples=[SIGNATURE],
        ),
    ] = "",
    nonce: Annotated[
        str, Query(description="A number above the signer's last one.", examples=["1767225600.123"])
    ] = "",
) -> None:
    """Let administrators pass."""
    if credentials is not None:
        await run_in_threadpool(caller_of, gateway, credentials, Scope.ADMIN)
        return
    if not admin:
        raise Refusal(400, "The header Admin is empty")
    job_id = request.query_params.get("jobId", "")
    asked = OceanRequest(
        f"{request.method}:{request.url.path.removeprefix(_PREFIX)}",
        {"providerSignature": signature, "nonce": nonce, "jobId": job_id},
    )
    await run_in_threadpool(_check_signature, gateway, asked, admin)


router = APIRouter(prefix=_PREFIX, tags=["Ocean administration"], dependencies=[Depends(_administers)])


@router.post("/pgsqlinit", responses=answers(400, 401, 403), summary="Nothing: there are no tables to create")
@_ADMINS
async def init_tables() -> Message:
    """Answer as the reference does once its tables are there; the object store needs none."""
    return Message(message="There is nothing to create: jobs, environments and nonces lie in the object store.")


@router.get("/info", response_model=Information, responses=answers(400, 401, 403), summary="What runs here")
@_ADMINS
def show_info(gateway: TheGateway) -> Response:
    """Answer with version, environments, and how many jobs have not ended."""
    return JSONResponse(
        {
            "software": "Operator service",
            "version": __version__,
            "environments": known_environments(gateway, None),
            "unfinishedJobs": len(gateway.unfinished.get()),
        }
    )


@router.get(
    "/list",
    response_model=list[JobStatus],
    responses=answers(400, 401, 403),
    summary="All unfinished jobs, in full",
)
@_ADMINS
def list_jobs(gateway: TheGateway) -> Response:
    """Answer with the jobs that have not ended, the oldest first."""
    return JSONResponse(tell_statuses(gateway, gateway.unfinished.get()))


@router.get(
    "/logs",
    response_class=PlainTextResponse,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}, **answers(400, 401, 403, 404)},
    summary="A log of a job",
)
@_ADMINS
def show_logs(
    gateway: TheGateway,
    jobId: Annotated[str, Query(pattern="^[0-9a-f]{32}$", examples=[JOB_ID])],  # noqa: N803 - Ocean's name
    component: Annotated[Literal["configure", "algorithm", "filter", "publish"], Query(examples=["algorithm"])],
) -> Response:
    """Answer with what one phase of a job has printed, the last mebibyte of it; it is there once the job has ended."""
    record = gateway.jobs.get(jobId)
    if record is None:
        raise Refusal(404, "There is no such job.")
    return PlainTextResponse(_read_log(gateway, record, _LOGS[component]))


def _check_signature(gateway: Gateway, asked: OceanRequest, admin: str) -> None:
    if not is_address(admin) or admin.lower() not in gateway.settings.allowed_admins:
        raise Refusal(401, "The header Admin names nobody who is allowed")
    asked.require("providerSignature", "nonce")
    text = signed_text(admin, asked.job_id(), asked.nonce())
    signer = Signer.of(recover_signer(text, asked.signature()), gateway.settings)
    if not signer.is_owner(admin):
        raise Refusal(401, "The signature is not that of the address in the header Admin")
    gateway.nonces.take(signer.address, asked.nonce())


def _read_log(gateway: Gateway, record: JobRecord, kind: str) -> str:
    for result in () if record.removed else record.results:
        if result.type == kind:
            start = max(0, result.filesize - _LONGEST_LOG)
            return gateway.store.get_part(result.key, start, result.filesize).decode(errors="replace")
    raise Refusal(404, "The job has left no such log.")
