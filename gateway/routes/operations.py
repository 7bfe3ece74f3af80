"""Data operations after Datalab's API: which there are, those of a session, and their outputs by links that expire."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from gateway.context import Launcher, Reader, TheGateway, open_route
from gateway.data_sessions import SessionShelf
from gateway.errors import Refusal, answers
from gateway.links import Links
from gateway.operation_answers import OperationAnswer, answer_operation, output_path
from gateway.operation_requests import add_operation, check_reads_inputs, launch_operation, read_request
from gateway.ranges import content_disposition
from gateway.replies import answer_object
from gateway.routes.data_sessions import Number
from runstart.operation_kit import find_operations, load_entry
from runstart.storage import ObjectMissing

_MEDIA = {"fits": "application/fits", "large": "image/jpeg", "small": "image/jpeg", "tif": "image/tiff"}
_FILES: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {
            media: {"schema": {"type": "string", "format": "binary"}} for media in sorted({*_MEDIA.values()})
        },
        "description": "The output.",
    },
    304: {"description": "The browser has this version already."},
}

What = Literal["fits", "large", "small", "tif"]

router = APIRouter(tags=["data operations"])


class OperationNew(BaseModel):
    """A data operation that is asked for."""

    model_config = ConfigDict(
        extra="ignore",
        json_schema_extra={
            "example": {
                "name": "Median",
                "input_data": {
                    "input_files": [
                        {"basename": "ogg0m404-kb82-20260328-0012-e91", "source": "archive"},
                        {"basename": "ogg0m404-kb82-20260328-0013-e91", "source": "archive"},
                    ]
                },
            }
        },
    )

    name: str = Field(min_length=1, max_length=100, description="One of the available operations.")
    input_data: dict[str, Any]


class OperationIds(BaseModel):
    """Operations that are to be removed."""

    ids: list[int] = Field(max_length=5000, examples=[[1234, 1235]])


class Deleted(BaseModel):
    """How many were removed."""

    deleted: int


class Wizard(BaseModel):
    """A data operation as a wizard needs it."""

    name: str = Field(examples=["Median"])
    description: str
    category: str = Field(examples=["image"])
    inputs: dict[str, dict[str, Any]]
    json_schema: dict[str, Any] = Field(description="JSON Schema of `input_data`.")


@router.get("/api/available_operations/", responses=answers(401, 403))
def list_available_operations(_caller: Reader) -> dict[str, Wizard]:
    """Give every data operation by name: its inputs as a wizard shows them, and their JSON Schema."""
    return {
        operation.name: Wizard(**operation.wizard(), json_schema=operation.schema())
        for operation in find_operations().values()
    }


@router.get("/api/datasessions/{session_id}/operations/", responses=answers(400, 401, 403, 404))
async def list_operations(gateway: TheGateway, caller: Reader, session_id: Number) -> list[OperationAnswer]:
    """List the operations of a session, the oldest first."""
    stored = await run_in_threadpool(SessionShelf(gateway.store, caller.name).operations, session_id)
    return list(await asyncio.gather(*(answer_operation(gateway, caller, each) for each in stored)))


@router.post("/api/datasessions/{session_id}/operations/", status_code=201, responses=answers(400, 401, 403, 404))
async def create_operation(
    gateway: TheGateway, caller: Launcher, session_id: Number, wanted: OperationNew
) -> OperationAnswer:
    """Start an operation. The same request in a session is the same operation; one that has failed starts again."""
    request = await run_in_threadpool(read_request, wanted.name, wanted.input_data)
    await run_in_threadpool(check_reads_inputs, caller, gateway.access, request.things)
    shelf = SessionShelf(gateway.store, caller.name)
    operation = await add_operation(gateway, shelf, session_id, request, wanted.input_data)
    await run_in_threadpool(
        gateway.audit.write,
        caller.name,
        "operation.start",
        operation.run_id,
        name=operation.name,
        session=session_id,
    )
    return await answer_operation(gateway, caller, operation)


@router.get("/api/datasessions/{session_id}/operations/{operation_id:int}/", responses=answers(400, 401, 403, 404))
async def show_operation(
    gateway: TheGateway, caller: Reader, session_id: Number, operation_id: Number
) -> OperationAnswer:
    """Tell how far an operation is; with links to its outputs once it is completed."""
    shelf = SessionShelf(gateway.store, caller.name)
    operation = await run_in_threadpool(shelf.operation, session_id, operation_id)
    # A gateway that was killed between keeping and launching leaves an operation without a run.
    operation = await launch_operation(gateway, shelf, session_id, operation)
    return await answer_operation(gateway, caller, operation)


@router.delete(
    "/api/datasessions/{session_id}/operations/{operation_id:int}/",
    status_code=204,
    responses=answers(400, 401, 403, 404),
)
async def delete_operation(gateway: TheGateway, caller: Launcher, session_id: Number, operation_id: Number) -> None:
    """Remove an operation from a session; what it has made stays in the cache."""
    shelf = SessionShelf(gateway.store, caller.name)
    operation = await run_in_threadpool(shelf.operation, session_id, operation_id)
    await run_in_threadpool(
        gateway.audit.write, caller.name, "operation.delete", operation.run_id, session=session_id
    )
    await run_in_threadpool(shelf.remove, session_id, operation_id)


@router.post("/api/datasessions/{session_id}/operations/bulk_delete/", responses=answers(400, 401, 403, 404))
async def delete_operations(
    gateway: TheGateway, caller: Launcher, session_id: Number, wanted: OperationIds
) -> Deleted:
    """Remove operations of one of your own sessions; ids of others are passed over."""
    shelf = SessionShelf(gateway.store, caller.name)
    known = {operation.id for operation in await run_in_threadpool(shelf.operations, session_id)}
    chosen = sorted(known & set(wanted.ids))
    await run_in_threadpool(
        gateway.audit.write, caller.name, "operation.bulk_delete", str(session_id), count=len(chosen)
    )
    removed = [await run_in_threadpool(shelf.remove, session_id, number) for number in chosen]
    return Deleted(deleted=sum(removed))


@router.get(
    "/api/outputs/{key}/{number}/{what}",
    responses={**_FILES, **answers(400, 403, 404)},
    response_class=Response,
)
@open_route("the link is signed, and was given to who may read the inputs")
def show_output(
    request: Request,
    gateway: TheGateway,
    key: Annotated[str, Path(pattern=r"^[0-9a-f]{64}$")],
    number: Annotated[int, Path(ge=0, le=100_000)],
    what: What,
    expires: Annotated[int, Query(ge=0, le=2**53)],
    signature: Annotated[str, Query(pattern=r"^[0-9a-f]{64}$")],
) -> Response:
    """Give one file of an output: FITS, a large or small JPEG, or TIFF."""
    Links(gateway.store).check(output_path(key, number, what), expires, signature)
    entry = load_entry(gateway.store, key)
    outputs = entry.outputs if entry is not None else ()
    if number >= len(outputs) or what not in outputs[number].objects:
        raise Refusal(404, "This output has been removed from the cache. Ask for the operation again.")
    place = outputs[number].objects[what]
    try:
        answer = answer_object(request, gateway.store.get(place), _MEDIA[what])
    except ObjectMissing:
        raise Refusal(404, "This output has been removed from the cache. Ask for the operation again.") from None
    if what in {"fits", "tif"}:
        answer.headers["Content-Disposition"] = content_disposition(place.rpartition("/")[2])
    return answer
