"""Pipelines of operators: which there are, to start a session of one, how its sessions stand, and to stop one."""

from __future__ import annotations

import re
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from gateway.access import check_declared
from gateway.context import Launcher, Reader, TheGateway
from gateway.errors import answers
from gateway.run_info import OnceKey, RunInfo, RunStarted, RunStopped, find_run, start_run, stop_run
from gateway.tokens import Caller
from gateway.watching import TheWatching, Watching
from runstart.pipelines import read_pipeline
from runstart.sessions.records import is_session_id, read_status

MOST_SESSIONS = 200

router = APIRouter(prefix="/api/pipelines", tags=["pipelines"])


class PipelineInfo(BaseModel):
    """A pipeline that is declared."""

    name: str = Field(examples=["center_of_mass"])
    operators: list[str] = Field(
        description="Labels of its operators.", examples=[["file-reader", "center-of-mass"]]
    )


class PipelineStart(BaseModel):
    """What a session of a pipeline is started with."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={"example": {"operators": {}, "triggers": [], "keep_running": False}},
    )

    operators: dict[str, dict[str, Any]] = Field({}, description="Parameters of each operator.")
    triggers: list[str] = Field(
        [], max_length=100, description="What is asked of operators, as `operator:trigger`."
    )
    keep_running: bool = Field(False, description="Whether it goes on when its sources have ended.")
    time_limit_s: float | None = Field(None, gt=0, le=31 * 86_400, description="After so many seconds it fails.")


class PipelineSession(BaseModel):
    """A session of a pipeline."""

    run: RunInfo
    status: dict[str, Any] = Field({}, description="State, rates and queues as the session told them last.")


@router.get("/", responses=answers(401, 403))
def list_pipelines(watching: TheWatching, caller: Reader) -> list[PipelineInfo]:
    """List the pipelines."""
    return [
        PipelineInfo(name=name, operators=[operator.label for operator in read_pipeline(path).operators])
        for name, path in watching.facility.pipelines.items()
        if caller.may_read(f"pipeline/{name}")
    ]


@router.post("/{pipeline}/sessions", status_code=202, responses=answers(400, 401, 403, 404))
async def start_session(
    gateway: TheGateway,
    watching: TheWatching,
    caller: Launcher,
    pipeline: str,
    wanted: PipelineStart,
    once: OnceKey = "",
) -> RunStarted:
    """Start a session of a pipeline."""
    job = _job_name(watching, caller, pipeline)
    config = wanted.model_dump(exclude_none=True, exclude_defaults=True)
    return await start_run(gateway, caller, job, once, config, {"runstart/pipeline": pipeline})


@router.get("/{pipeline}/sessions", responses=answers(401, 403, 404))
async def list_sessions(
    gateway: TheGateway,
    watching: TheWatching,
    caller: Reader,
    pipeline: str,
    limit: Annotated[int, Query(ge=1, le=MOST_SESSIONS)] = 50,
) -> list[RunInfo]:
    """List the sessions of a pipeline, the newest first."""
    job = _job_name(watching, caller, pipeline)
    return [RunInfo.of(run) for run in await gateway.dagster.runs(job=job, limit=limit)]


@router.get("/{pipeline}/sessions/{run_id}", responses=answers(401, 403, 404))
async def show_session(
    gateway: TheGateway, watching: TheWatching, caller: Reader, pipeline: str, run_id: str
) -> PipelineSession:
    """Tell how a session stands."""
    run = RunInfo.of(await find_run(gateway, run_id, _job_name(watching, caller, pipeline)))
    status: dict[str, Any] = {}
    if run.session_id is not None and is_session_id(run.session_id):
        status = await run_in_threadpool(read_status, gateway.store, run.session_id)
    return PipelineSession(run=run, status=status)


@router.post("/{pipeline}/sessions/{run_id}/stop", status_code=202, responses=answers(401, 403, 404))
async def stop_session(
    gateway: TheGateway, watching: TheWatching, caller: Launcher, pipeline: str, run_id: str
) -> RunStopped:
    """Stop a session; what it has started is gone afterwards."""
    run = await find_run(gateway, run_id, _job_name(watching, caller, pipeline))
    return await stop_run(gateway, caller, run)


def _job_name(watching: Watching, caller: Caller, pipeline: str) -> str:
    """Return the name of a pipeline's job."""
    check_declared(caller, "pipeline", pipeline, watching.facility.pipelines)
    return "pipeline_" + re.sub(r"\W", "_", pipeline, flags=re.ASCII)
