"""Frame scans of microscopes: which there are, how far, with which pictures; and to process one again."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from gateway.access import check_declared
from gateway.context import Launcher, Reader, TheGateway
from gateway.errors import answers
from gateway.replies import answer_object, pictures
from gateway.run_info import PARTITION_TAG, OnceKey, RunInfo, RunStarted, start_run
from gateway.scans_seen import MOST_SCANS, MicroscopeState, ScanDetail
from gateway.tokens import Caller
from gateway.watching import TheWatching, Watching

ScanName = Annotated[str, Path(max_length=200, examples=["scan_0001.frames"])]

router = APIRouter(prefix="/api/scans", tags=["frame scans"])


@router.get("/", responses=answers(401, 403))
def list_microscopes(watching: TheWatching, caller: Reader) -> list[MicroscopeState]:
    """List the microscopes, each with its newest scans."""
    return [each for each in watching.scans.overview() if caller.may_read(f"microscope/{each.name}")]


@router.get("/{microscope}/", responses=answers(401, 403, 404))
def list_scans(
    watching: TheWatching,
    caller: Reader,
    microscope: str,
    limit: Annotated[int, Query(ge=1, le=MOST_SCANS)] = 100,
) -> list[str]:
    """List the scans of a microscope by name, the last name first."""
    _check(watching, caller, microscope)
    return watching.scans.scans(microscope, limit)


@router.get("/{microscope}/{scan}", responses=answers(401, 403, 404))
def show_scan(watching: TheWatching, caller: Reader, microscope: str, scan: ScanName) -> ScanDetail:
    """Tell how far a scan is, or what was made of it."""
    _check(watching, caller, microscope)
    return watching.scans.scan(microscope, scan)


@router.get("/{microscope}/{scan}/runs", responses=answers(401, 403, 404))
async def list_scan_runs(
    gateway: TheGateway, watching: TheWatching, caller: Reader, microscope: str, scan: ScanName
) -> list[RunInfo]:
    """List the Dagster runs of a scan, the newest first."""
    _check(watching, caller, microscope)
    runs = await gateway.dagster.runs({PARTITION_TAG: scan, "runstart/microscope": microscope})
    return [RunInfo.of(run) for run in runs]


@router.post("/{microscope}/{scan}/runs", status_code=202, responses=answers(400, 401, 403, 404))
async def process_scan(
    gateway: TheGateway,
    watching: TheWatching,
    caller: Launcher,
    microscope: str,
    scan: ScanName,
    once: OnceKey = "",
) -> RunStarted:
    """Process a scan again from its file; the result is the same, bit for bit, or replaces one of an older recipe."""
    _check(watching, caller, microscope)
    await run_in_threadpool(watching.scans.scan, microscope, scan)
    tags = {PARTITION_TAG: scan, "runstart/microscope": microscope}
    return await start_run(gateway, caller, f"scan_{microscope}", once, {}, tags)


@router.get(
    "/{microscope}/{scan}/pictures/{name}",
    responses={**pictures("image/png"), **answers(401, 403, 404)},
    response_class=Response,
)
def show_scan_picture(
    request: Request, watching: TheWatching, caller: Reader, microscope: str, scan: ScanName, name: str
) -> Response:
    """Give a picture of a scan as PNG; `overview.png` grows while the scan is taken."""
    _check(watching, caller, microscope)
    return answer_object(request, watching.scans.picture(microscope, scan, name), "image/png")


def _check(watching: Watching, caller: Caller, microscope: str) -> None:
    check_declared(caller, "microscope", microscope, watching.facility.microscopes)
