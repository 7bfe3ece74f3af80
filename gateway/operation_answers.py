"""What routes tell of an operation of a session: Datalab's form, with links to its outputs that expire."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from gateway.errors import Refusal
from gateway.links import Links
from gateway.operation_requests import Status, check_reads_inputs, find_progress

if TYPE_CHECKING:
    from gateway.context import Gateway
    from gateway.data_sessions import StoredOperation
    from gateway.tokens import Caller
    from runstart.operation_kit import Entry

WITHHELD = "This token may not read what the operation was made of."


class OperationAnswer(BaseModel):
    """An operation of a session."""

    id: int = Field(examples=[1234])
    name: str = Field(examples=["Median"])
    input_data: dict[str, Any]
    created: str = Field(examples=["2026-03-28T20:15:00.000000Z"])
    status: Status
    message: str = Field("", description="What is being done, or what went wrong.")
    operation_progress: float = Field(0.0, description="How much is done, 0 to 1.")
    output: dict[str, Any] = Field(
        {}, description="`output_files`: of each basename, source, type, label, figures and links that expire."
    )
    run_id: str = Field("", description="Its Dagster run.")


async def answer_operation(gateway: Gateway, caller: Caller, operation: StoredOperation) -> OperationAnswer:
    """Return what is told of an operation; its result only to who may read its inputs.

    Raises
    ------
    Transient
        Dagster or the store does not answer.
    """
    told = OperationAnswer(
        id=operation.id,
        name=operation.name,
        input_data=operation.input_data,
        created=operation.created,
        status="PENDING",
        run_id=operation.run_id,
    )
    try:
        await run_in_threadpool(check_reads_inputs, caller, gateway.access, operation.things)
    except Refusal:
        return told.model_copy(update={"status": "FAILED", "message": WITHHELD})
    found = await find_progress(gateway, operation)
    output = {} if found.entry is None else await run_in_threadpool(_tell_outputs, gateway, found.entry)
    return told.model_copy(
        update={
            "status": found.status,
            "message": found.message,
            "operation_progress": round(found.progress, 4),
            "output": output,
        }
    )


def output_path(key: str, number: int, what: str) -> str:
    """Return the path of one object of an output."""
    return f"/api/outputs/{key}/{number}/{what}"


def _tell_outputs(gateway: Gateway, entry: Entry) -> dict[str, Any]:
    links = Links(gateway.store)
    return {
        "output_files": [
            {
                "basename": output.basename,
                "source": output.source,
                "type": output.type,
                "label": output.label,
                "figures": dict(output.figures),
                **{f"{what}_url": links.sign(output_path(entry.key, number, what)) for what in output.objects},
            }
            for number, output in enumerate(entry.outputs)
        ]
    }
