"""Instruments and their live runs: at a glance, in full, as arrays, as pictures, and as a stream of what changes."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query, Request, Response
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from gateway.access import check_declared
from gateway.context import Launcher, Reader, TheGateway
from gateway.errors import Refusal, answers
from gateway.feed import LONGEST_ID, MOST_LISTENERS, TooManyListeners
from gateway.live_runs import MOST_RUNS, InstrumentState, RunDetail, RunName
from gateway.replies import JSON, answer_object, pictures
from gateway.run_info import PARTITION_TAG, OnceKey, RunInfo, RunStarted, start_run
from gateway.tokens import Caller
from gateway.watching import TheWatching, Watching

RunKey = Annotated[str, Path(description="Key of the run.", examples=["20261126T095603.123Z_SIMSANS-1"])]

STREAM_SECONDS = 60.0  # then a listener comes again, and its token is looked at again
_EVENTS: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
        "description": "Events `instrument`, `run`, `microscope` and `site` with their new state as JSON; `beat` at least "
        "every 5 s with the gateway's clock; `trouble` when the store cannot be read.",
    }
}
_VIEWS: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {"application/json": {"schema": {"type": "object"}}},
        "description": "`tof`, `rate`, `banks`, `logs` and `script` of the run, as arrays.",
    },
    304: {"description": "The browser has this version already."},
}

router = APIRouter(tags=["live runs"])


@router.get("/api/instruments/", responses=answers(401, 403), summary="All instruments at a glance")
def list_instruments(watching: TheWatching, caller: Reader) -> list[InstrumentState]:
    """Tell which instruments run, how fast, how far behind, and what is wrong."""
    states, _ = watching.live.overview()
    return [state for state in states if caller.may_read(f"instrument/{state.name}")]


@router.get("/api/events", responses={**_EVENTS, **answers(400, 401, 403, 404)}, response_class=StreamingResponse)
async def stream_events(
    request: Request,
    watching: TheWatching,
    caller: Reader,
    instrument: Annotated[str | None, Query(max_length=64, description="Whose run is told in full.")] = None,
    last_event_id: Annotated[str, Header(max_length=LONGEST_ID)] = "",
) -> StreamingResponse:
    """Tell what changes, as server-sent events.

    A client that comes back says by Last-Event-ID what it has seen, and is told what is new, whichever gateway answers.
    A stream ends after a minute; come back then, and your token is looked at again.
    """
    if instrument is not None:
        _check(watching, caller, instrument)
    if watching.feed.listeners >= MOST_LISTENERS:
        raise Refusal(503, f"{MOST_LISTENERS} listen to this gateway already. Try again.")
    topics = watching.topics(caller, instrument)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    stream = _stream(request, watching, topics, last_event_id)
    return StreamingResponse(stream, media_type="text/event-stream", headers=headers)


@router.get("/api/instruments/{instrument}/runs/", responses=answers(401, 403, 404))
def list_runs(
    watching: TheWatching,
    caller: Reader,
    instrument: str,
    limit: Annotated[int, Query(ge=1, le=MOST_RUNS)] = 50,
) -> list[RunName]:
    """List the runs of an instrument, the newest first."""
    _check(watching, caller, instrument)
    return watching.live.runs(instrument, limit)


@router.get("/api/instruments/{instrument}/current", responses=answers(401, 403, 404))
def show_current_run(watching: TheWatching, caller: Reader, instrument: str) -> RunDetail:
    """Tell of the run that is live, or else of the newest that is finished."""
    _check(watching, caller, instrument)
    return watching.live.current(instrument)


@router.get("/api/instruments/{instrument}/runs/{run}", responses=answers(401, 403, 404))
def show_run(watching: TheWatching, caller: Reader, instrument: str, run: RunKey) -> RunDetail:
    """Tell of one run: its figures, its ledger, and what is wrong."""
    _check(watching, caller, instrument)
    return watching.live.run(instrument, run)


@router.get("/api/instruments/{instrument}/runs/{run}/ledger", responses=answers(401, 403, 404))
def show_ledger(watching: TheWatching, caller: Reader, instrument: str, run: RunKey) -> dict[str, int]:
    """Tell what became of every message and every event that was read."""
    _check(watching, caller, instrument)
    return watching.live.run(instrument, run).ledger


@router.get(
    "/api/instruments/{instrument}/runs/{run}/views",
    responses={**_VIEWS, **answers(401, 403, 404)},
    response_class=Response,
)
def show_views(request: Request, watching: TheWatching, caller: Reader, instrument: str, run: RunKey) -> Response:
    """Give the detector pictures, TOF spectrum, rate, logs and script results of a run as arrays."""
    _check(watching, caller, instrument)
    return answer_object(request, watching.live.views(instrument, run), JSON)


@router.get(
    "/api/instruments/{instrument}/runs/{run}/pictures/{name}",
    responses={**pictures("image/png"), **answers(401, 403, 404)},
    response_class=Response,
)
def show_picture(
    request: Request, watching: TheWatching, caller: Reader, instrument: str, run: RunKey, name: str
) -> Response:
    """Give a picture of a run as PNG, such as `overview.png`."""
    _check(watching, caller, instrument)
    return answer_object(request, watching.live.picture(instrument, run, name), "image/png")


@router.get("/api/instruments/{instrument}/runs/{run}/reductions", responses=answers(401, 403, 404))
async def list_reductions(
    gateway: TheGateway, watching: TheWatching, caller: Reader, instrument: str, run: RunKey
) -> list[RunInfo]:
    """List the Dagster runs that reduced a run, the newest first."""
    _check(watching, caller, instrument)
    runs = await gateway.dagster.runs({PARTITION_TAG: run}, job=f"live_reduction_{instrument}")
    return [RunInfo.of(each) for each in runs]


@router.post(
    "/api/instruments/{instrument}/runs/{run}/reductions", status_code=202, responses=answers(400, 401, 403, 404)
)
async def reduce_again(
    gateway: TheGateway, watching: TheWatching, caller: Launcher, instrument: str, run: RunKey, once: OnceKey = ""
) -> RunStarted:
    """Reduce a run again from its frozen offsets; the result is the same, bit for bit."""
    _check(watching, caller, instrument)
    await run_in_threadpool(watching.live.run, instrument, run)
    tags = {PARTITION_TAG: run, "runstart/instrument": instrument}
    return await start_run(gateway, caller, f"live_reduction_{instrument}", once, {}, tags)


def _check(watching: Watching, caller: Caller, instrument: str) -> None:
    check_declared(caller, "instrument", instrument, watching.facility.instruments)


async def _stream(
    request: Request, watching: Watching, topics: list[str], last_event_id: str
) -> AsyncIterator[bytes]:
    ends_at = time.monotonic() + STREAM_SECONDS
    messages = watching.feed.listen(topics, last_event_id)
    try:
        async for message in messages:
            yield message.encode()
            if time.monotonic() >= ends_at or await request.is_disconnected():
                return
    except TooManyListeners:
        return
    finally:
        await messages.aclose()
