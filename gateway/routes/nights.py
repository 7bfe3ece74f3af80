"""Nights of telescopes: which there are, what was made of each, with pictures; and to reduce one again."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from gateway.access import check_declared
from gateway.context import Launcher, Reader, TheGateway
from gateway.errors import Refusal, answers
from gateway.nights_seen import NightDetail, SiteState, Size
from gateway.replies import answer_object, pictures
from gateway.run_info import PARTITION_TAG, OnceKey, RunInfo, RunStarted, start_run
from gateway.tokens import Caller
from gateway.watching import TheWatching, Watching
from runstart.nights import is_night

Night = Annotated[str, Path(description="The date of its evening.", examples=["2026-03-28"])]

router = APIRouter(prefix="/api/nights", tags=["nights"])


@router.get("/", responses=answers(401, 403))
def list_sites(watching: TheWatching, caller: Reader) -> list[SiteState]:
    """List the sites, each with its newest night that has pictures."""
    return [each for each in watching.nights.overview() if caller.may_read(f"site/{each.name}")]


@router.get("/{site}/", responses=answers(401, 403, 404))
def list_nights(watching: TheWatching, caller: Reader, site: str) -> list[str]:
    """List the nights of a site of which something was made, the newest first."""
    _check(watching, caller, site)
    return watching.nights.nights(site)


@router.get("/{site}/{night}", responses=answers(401, 403, 404))
def show_night(watching: TheWatching, caller: Reader, site: str, night: Night) -> NightDetail:
    """Tell all that was made of a night, and what could not be made."""
    _check(watching, caller, site)
    return watching.nights.night(site, night)


@router.get("/{site}/{night}/runs", responses=answers(401, 403, 404))
async def list_night_runs(
    gateway: TheGateway, watching: TheWatching, caller: Reader, site: str, night: Night
) -> list[RunInfo]:
    """List the Dagster runs that reduced this one night, the newest first."""
    _check(watching, caller, site)
    runs = await gateway.dagster.runs({PARTITION_TAG: night, "runstart/site": site})
    return [RunInfo.of(run) for run in runs]


@router.post("/{site}/{night}/runs", status_code=202, responses=answers(400, 401, 403, 404))
async def reduce_night(
    gateway: TheGateway, watching: TheWatching, caller: Launcher, site: str, night: Night, once: OnceKey = ""
) -> RunStarted:
    """Reduce a night; what has not changed is not computed again."""
    _check(watching, caller, site)
    if not is_night(night):
        raise Refusal(404, f"{site} has no such night.")
    tags = {PARTITION_TAG: night, "runstart/site": site}
    return await start_run(gateway, caller, f"night_{site}", once, {}, tags)


@router.get(
    "/{site}/{night}/{asset}/{number}/{size}.jpg",
    responses={**pictures("image/jpeg"), **answers(400, 401, 403, 404)},
    response_class=Response,
)
def show_night_picture(
    request: Request,
    watching: TheWatching,
    caller: Reader,
    site: str,
    night: Night,
    asset: Annotated[str, Path(examples=["stacks"])],
    number: Annotated[int, Path(ge=0, le=100_000)],
    size: Size,
) -> Response:
    """Give the picture of a product as JPEG."""
    _check(watching, caller, site)
    return answer_object(request, watching.nights.picture(site, night, asset, number, size), "image/jpeg")


def _check(watching: Watching, caller: Caller, site: str) -> None:
    check_declared(caller, "site", site, watching.facility.sites)
