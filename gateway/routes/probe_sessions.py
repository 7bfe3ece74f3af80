"""edgeECHO's sessions: started as its clients do by POST /post/, followed and stopped as they could not be.

A session is a Dagster run of the job `probe_session`. Its name is chosen here, so that the answer has it at once; what the
run has not made yet (network and programs) is waited for a while, and is null in the answer if it takes longer.
"""

from __future__ import annotations

import asyncio
import time
from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, StrictInt
from starlette.concurrency import run_in_threadpool

from gateway.access import check_reads
from gateway.context import Gateway, Launcher, Reader, TheGateway
from gateway.errors import Refusal, answers
from gateway.run_info import SESSION_TAG, OnceKey, RunInfo, start_run, stop_run
from runstart.errors import Alert
from runstart.probe_sessions import MOST_MESSAGES
from runstart.sessions.records import SessionRecord, new_session_id, read_record, read_status

JOB = "probe_session"
PATIENCE_S = 15.0  # until the programs of a session are there
_INTERVAL_S = 0.3
_PROGRAMS = {"probe": "probe", "stream": "streaming", "segmentation": "segmentation"}

SessionId = Annotated[str, Path(pattern=r"^[0-9A-F]{16}$", examples=["0123456789ABCDEF"])]

router = APIRouter(tags=["probe sessions"])


def _read_count(value: object) -> object:
    """Take 1000.0 for 1000, as JSON Schema does."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


class ProbeOrder(BaseModel):
    """What goes through a probe session."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"count": 1000, "plain_stream": True}})

    count: Annotated[StrictInt, BeforeValidator(_read_count)] = Field(
        ge=1, le=MOST_MESSAGES, description="How many messages the probe sends."
    )
    plain_stream: StrictBool = Field(
        True, description="Whether the stream is their end; else it forwards them to a segmentation."
    )


class ProbeStarted(BaseModel):
    """A probe session that was started; null is what has not been made yet, or is not needed."""

    session_id: str = Field(examples=["0123456789ABCDEF"])
    network: str | None = Field(None, description="Its network; null where programs are processes of one machine.")
    probe: str | None = Field(None, description="Id of the program, as its engine names it.")
    stream: str | None = None
    segmentation: str | None = Field(None, description="Null for a plain stream.")
    message_count: int = Field(examples=[1000])
    stream_type: str = Field(examples=["plain"], description="`plain` or `segmented`.")


class ProbeSession(BaseModel):
    """How a probe session stands."""

    session_id: str = Field(examples=["0123456789ABCDEF"])
    state: str = Field(
        examples=["running"], description="queued, starting, running, draining, finished, failed or stopped."
    )
    reason: str = Field("", description="Why it waits or has ended.")
    started: ProbeStarted | None = Field(None, description="What its start answered, as far as it is known now.")
    started_at: float | None = Field(None, description="In s since 1970.")
    ended_at: float | None = None
    status: dict[str, Any] = Field({}, description="What its programs have counted, as they told it last.")
    run: RunInfo | None = None


class ProbeStopping(BaseModel):
    """Whether a session is being stopped."""

    session_id: str
    is_stopping: bool = Field(description="False if it was over already.")


@router.post("/post/", responses=answers(400, 401, 403), summary="Start a probe session, as edgeECHO's clients do")
async def start_probe_session(
    gateway: TheGateway, caller: Launcher, order: ProbeOrder, once: OnceKey = ""
) -> ProbeStarted:
    """Start a session: a probe sends numbered messages to a stream, which may forward them to a segmentation."""
    session_id = new_session_id()
    started = await start_run(gateway, caller, JOB, once, order.model_dump(), {SESSION_TAG: session_id})
    run = await gateway.dagster.run(started.run_id)
    if run is not None:
        session_id = run.tags.get(SESSION_TAG, session_id)  # of the first request with this key
    record = await _await_programs(gateway, session_id, 2 if order.plain_stream else 3)
    return _tell_started(session_id, order.count, order.plain_stream, record)


@router.get("/api/probe_sessions/", responses=answers(401, 403))
async def list_probe_sessions(gateway: TheGateway, caller: Reader) -> list[RunInfo]:
    """List the Dagster runs of probe sessions, the newest first."""
    runs = [RunInfo.of(run) for run in await gateway.dagster.runs(job=JOB)]
    return [run for run in runs if caller.may_read(f"probe_session/{run.session_id}")]


@router.get("/api/probe_sessions/{session_id}", responses=answers(400, 401, 403, 404))
async def show_probe_session(gateway: TheGateway, caller: Reader, session_id: SessionId) -> ProbeSession:
    """Tell how a session stands."""
    check_reads(caller, f"probe_session/{session_id}")
    record = await run_in_threadpool(_find_record, gateway, session_id)
    run = await _find_run(gateway, session_id)
    if record is None:
        if run is None:
            raise Refusal(404, "There is no probe session of this name.")
        state = "queued" if run.ended_at is None else "failed"
        return ProbeSession(session_id=session_id, state=state, run=run)
    count = int(record.details.get("count", 0))
    is_plain = record.details.get("stream_type") == "plain"
    return ProbeSession(
        session_id=session_id,
        state=record.state,
        reason=record.reason,
        started=_tell_started(session_id, count, is_plain, record),
        started_at=record.started_at,
        ended_at=record.ended_at,
        status=await run_in_threadpool(read_status, gateway.store, session_id),
        run=run,
    )


@router.post("/api/probe_sessions/{session_id}/stop", status_code=202, responses=answers(400, 401, 403, 404))
async def stop_probe_session(gateway: TheGateway, caller: Launcher, session_id: SessionId) -> ProbeStopping:
    """Stop a session; its programs and its network are gone afterwards."""
    check_reads(caller, f"probe_session/{session_id}")
    runs = await gateway.dagster.runs({SESSION_TAG: session_id}, job=JOB, limit=1, cached=False)
    if not runs:
        raise Refusal(404, "There is no probe session of this name.")
    stopped = await stop_run(gateway, caller, runs[0])
    return ProbeStopping(session_id=session_id, is_stopping=stopped.is_stopping)


async def _await_programs(gateway: Gateway, session_id: str, wanted: int) -> SessionRecord | None:
    """Return the record of a session once all its programs are there, it has ended, or time is over."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        record = await run_in_threadpool(_find_record, gateway, session_id)
        is_whole = record is not None and (record.has_ended or len(record.nodes) >= wanted)
        if is_whole or time.monotonic() >= deadline:
            return record
        await asyncio.sleep(_INTERVAL_S)


async def _find_run(gateway: Gateway, session_id: str) -> RunInfo | None:
    runs = await gateway.dagster.runs({SESSION_TAG: session_id}, job=JOB, limit=1)
    return RunInfo.of(runs[0]) if runs else None


def _find_record(gateway: Gateway, session_id: str) -> SessionRecord | None:
    try:
        record = read_record(gateway.store, session_id)
    except Alert:
        return None
    return record if record.kind == "probe" else None


def _tell_started(session_id: str, count: int, is_plain: bool, record: SessionRecord | None) -> ProbeStarted:
    nodes = {} if record is None else {node.operator: node.node_id for node in record.nodes}
    return ProbeStarted(
        session_id=session_id,
        network=(record.network or None) if record is not None else None,
        **{name: nodes.get(program) for name, program in _PROGRAMS.items()},
        message_count=count,
        stream_type="plain" if is_plain else "segmented",
    )
