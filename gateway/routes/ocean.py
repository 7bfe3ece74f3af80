"""Ocean's operator service: compute jobs for clients that were written for it; its names, codes and texts.

Who asks is known by a signature and a nonce, as `gateway.signatures` says; no bearer token is needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.concurrency import run_in_threadpool

from gateway.context import Gateway, TheGateway, open_route
from gateway.errors import Refusal, answers
from gateway.ocean_jobs import RESULTS_REMOVED, fetch_result, find_jobs, known_environments, start_job, stop_jobs
from gateway.ocean_models import (
    CHAIN,
    RESULT_OF,
    SIGNED_BY,
    WHICH,
    Environment,
    JobStatus,
    RunningJob,
    StartRequest,
    StopRequest,
    reference,
)
from gateway.ocean_requests import read_request
from gateway.ocean_statuses import tell_running, tell_statuses
from gateway.ranges import content_disposition, parse_range
from runstart.compute import Result
from runstart.storage import ObjectMissing

router = APIRouter(prefix="/api/v1/operator", tags=["Ocean compute"])

_SIGNED = open_route("signed by its caller")
_PUBLIC = open_route("public in the reference: clients look here before they have an agreement")
_PART = 1024 * 1024
_TEXTS = {
    400: '"owner" is required in the call to GET:/compute',
    401: "The signer is not allowed to act for this owner",
    404: "The job has no result with this index",
}


@router.post(
    "/compute",
    response_model=list[JobStatus],
    responses=answers(400, 401, texts=_TEXTS),
    openapi_extra={"requestBody": {**reference(StartRequest), "required": True}},
    summary="Start a compute job",
)
@_SIGNED
async def start_compute(request: Request, gateway: TheGateway) -> Response:
    """Take a job in and launch it; signed: owner, nonce. With 503 nothing was done, and the nonce is still good."""
    record = await start_job(gateway, await read_request(request, "POST:/compute"))
    return JSONResponse(await run_in_threadpool(tell_statuses, gateway, [record]))


@router.put(
    "/compute",
    response_model=list[JobStatus],
    responses=answers(400, 401, texts=_TEXTS),
    openapi_extra={"requestBody": {**reference(StopRequest), "required": True}},
    summary="Stop compute jobs",
)
@_SIGNED
async def stop_compute(request: Request, gateway: TheGateway) -> Response:
    """Ask for the end of all jobs that are named; signed: owner, jobId if it is given, nonce."""
    asked = await read_request(request, "PUT:/compute")
    records = await run_in_threadpool(stop_jobs, gateway, asked)
    return JSONResponse(await run_in_threadpool(tell_statuses, gateway, records))


@router.delete("/compute", response_model=str, responses=answers(), summary="Nothing, as in the reference")
@open_route("does nothing")
async def delete_compute() -> Response:
    """Do nothing: results go when their time is over, and records stay."""
    return JSONResponse("")


@router.get(
    "/compute",
    response_model=list[JobStatus],
    responses=answers(400, 401, texts=_TEXTS),
    openapi_extra={"parameters": [*WHICH, *SIGNED_BY, CHAIN]},
    summary="Follow compute jobs",
)
@_SIGNED
async def show_compute(request: Request, gateway: TheGateway) -> Response:
    """Answer with all jobs that are named; signed: owner and jobId as far as they are given, nonce."""
    asked = await read_request(request, "GET:/compute")
    return JSONResponse(await run_in_threadpool(_show_compute, gateway, asked))


@router.get("/runningjobs", response_model=list[RunningJob], responses=answers(), summary="All unfinished jobs")
@_PUBLIC
def show_running_jobs(gateway: TheGateway) -> Response:
    """Answer with the jobs that have not ended, the oldest first; at most a second old."""
    return JSONResponse([tell_running(record) for record in gateway.unfinished.get()])


@router.get(
    "/getResult",
    response_class=Response,
    responses={
        200: {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}},
        206: {
            "description": "The part that was asked for",
            "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
        },
        **answers(400, 401, 404, 416, texts=_TEXTS),
    },
    openapi_extra={"parameters": [*RESULT_OF, *SIGNED_BY]},
    summary="Fetch a result",
)
@_SIGNED
async def show_result(
    request: Request,
    gateway: TheGateway,
    range_: Annotated[str, Header(alias="Range", examples=["bytes=0-1023"])] = "",
    if_range: Annotated[str, Header(alias="If-Range")] = "",
) -> Response:
    """Answer with the bytes of a result, or a part of them; signed: owner, jobId, nonce."""
    asked = await read_request(request, "GET:/getResult")
    result = await run_in_threadpool(fetch_result, gateway, asked)
    etag = f'"{result.checksum}"'
    part = parse_range(range_, result.filesize) if if_range in ("", etag) else None
    return await run_in_threadpool(_send, gateway, result, part, etag)


@router.get(
    "/environments",
    response_model=list[Environment],
    responses=answers(400),
    openapi_extra={"parameters": [CHAIN]},
    summary="Where compute jobs run",
)
@_PUBLIC
async def show_environments(request: Request, gateway: TheGateway) -> Response:
    """Answer with the environments that take jobs of a chain; `lastSeen` is when they were looked after last."""
    asked = await read_request(request, "GET:/environments")
    return JSONResponse(await run_in_threadpool(known_environments, gateway, asked.chain_id()))


def _show_compute(gateway: Gateway, asked: Any) -> list[dict[str, Any]]:
    return tell_statuses(gateway, find_jobs(gateway, asked))


def _send(gateway: Gateway, result: Result, part: tuple[int, int] | None, etag: str) -> Response:
    start, stop = part or (0, result.filesize)
    headers = {
        "Accept-Ranges": "bytes",
        "Content-Disposition": content_disposition(result.filename),
        "Content-Length": str(stop - start),
        "ETag": etag,
    }
    if part is not None:
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{result.filesize}"
    # The first part is read before the answer begins: what fails then has its own status.
    try:
        first = gateway.store.get_part(result.key, start, min(stop, start + _PART))
    except ObjectMissing:
        raise Refusal(404, RESULTS_REMOVED) from None

    def parts() -> Iterator[bytes]:
        yield first
        for position in range(start + _PART, stop, _PART):
            yield gateway.store.get_part(result.key, position, min(stop, position + _PART))

    status = 200 if part is None else 206
    return StreamingResponse(parts(), status, headers, media_type="application/octet-stream")
