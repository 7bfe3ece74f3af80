"""Dagster runs as routes tell of them, and how a route starts and stops one."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Header
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from gateway.errors import Refusal

if TYPE_CHECKING:
    from gateway.context import Gateway
    from gateway.dagster_client import Run
    from gateway.tokens import Caller

PARTITION_TAG = "dagster/partition"
SESSION_TAG = "runstart/session"

OnceKey = Annotated[
    str,
    Header(
        alias="Idempotency-Key",
        max_length=200,
        pattern=r"^[\x21-\x7e]*$",
        description="A text of the client's choice: a request that is sent again with it starts nothing again.",
    ),
]


class RunStarted(BaseModel):
    """A run was started, or had been by the same request."""

    run_id: str = Field(examples=["0b3c7f0e-6b0f-4a51-8d34-0d2f4c3f9a11"])


class RunInfo(BaseModel):
    """A run of Dagster."""

    run_id: str = Field(examples=["0b3c7f0e-6b0f-4a51-8d34-0d2f4c3f9a11"])
    job: str = Field(examples=["live_reduction_SIMSANS"])
    status: str = Field(
        examples=["STARTED"],
        description="QUEUED, NOT_STARTED, STARTING, STARTED, SUCCESS, FAILURE, CANCELING or CANCELED.",
    )
    partition: str | None = Field(None, description="The run, scan or night that it is about.")
    session_id: str | None = Field(None, description="The session that it runs.")
    created_at: float | None = Field(None, description="In s since 1970, as the other times.")
    started_at: float | None = None
    ended_at: float | None = None

    @classmethod
    def of(cls, run: Run) -> RunInfo:
        """Return what is told of a run."""
        return cls(
            run_id=run.run_id,
            job=run.job,
            status=run.status,
            partition=run.tags.get(PARTITION_TAG),
            session_id=run.tags.get(SESSION_TAG),
            created_at=run.created_at,
            started_at=run.started_at,
            ended_at=run.ended_at,
        )


class RunStopped(BaseModel):
    """Whether a run is being stopped."""

    run_id: str
    is_stopping: bool = Field(description="False if it was over already.")


async def start_run(
    gateway: Gateway,
    caller: Caller,
    job: str,
    once: str,
    config: Mapping[str, Any],
    tags: Mapping[str, str],
) -> RunStarted:
    """Start a run, once however often the request is sent again with its key; the audit log tells who did.

    Parameters
    ----------
    gateway : Gateway
        Starts it.
    caller : Caller
        Who asks.
    job : str
        Name of the job.
    once : str
        The client's key of this request; empty for none.
    config : mapping
        Run config.
    tags : mapping of str to str
        Tags of the run.

    Raises
    ------
    Alert
        The config is not as the job needs it.
    Transient
        Dagster or the store does not answer.
    """
    # As JSON: names of users may hold any character that could stand between them.
    key = json.dumps([job, caller.name, once or secrets.token_hex(16)])
    run_id = await gateway.launches.launch(job, key, config, tags)
    await run_in_threadpool(
        gateway.audit.write, caller.name, "run.start", run_id, job=job, partition=tags.get(PARTITION_TAG)
    )
    return RunStarted(run_id=run_id)


async def find_run(gateway: Gateway, run_id: str, job: str | None = None) -> Run:
    """Return a run.

    Raises
    ------
    Refusal
        404 if there is none of this id, or it is another job's.
    """
    run = await gateway.dagster.run(run_id)
    if run is None or (job is not None and run.job != job):
        raise Refusal(404, "There is no run of this id here.")
    return run


async def stop_run(gateway: Gateway, caller: Caller, run: Run) -> RunStopped:
    """Ask Dagster to stop a run; the audit log tells who did."""
    await run_in_threadpool(gateway.audit.write, caller.name, "run.stop", run.run_id, job=run.job)
    return RunStopped(run_id=run.run_id, is_stopping=await gateway.dagster.stop(run.run_id))
