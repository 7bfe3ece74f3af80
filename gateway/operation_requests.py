"""A request for a data operation: what it means, who may make it, its run, and what has come of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from starlette.concurrency import run_in_threadpool

from gateway.data_sessions import SessionShelf, StoredOperation, operation_id, tell_now
from gateway.errors import Refusal
from runstart.errors import Alert
from runstart.fits import FitsReference
from runstart.operation_kit import ColorChannels, Fits, Operation, find_operation, load_entry
from runstart.operation_kit.following import Note, read_note

if TYPE_CHECKING:
    from gateway.access import AccessBook
    from gateway.context import Gateway
    from gateway.dagster_client import Run
    from gateway.tokens import Caller
    from runstart.operation_kit import Entry

STORE_SOURCE = "store"
Status = Literal["PENDING", "IN_PROGRESS", "COMPLETED", "FAILED"]

_STOPPED = "The operation was stopped, or its process was killed. Ask for it again."
_FORGOTTEN = "Dagster knows its run no longer. Ask for it again; what is in the cache is not computed again."
_REMOVED = "Its outputs have been removed from the cache. Ask for it again."


@dataclass(frozen=True)
class OperationRequest:
    """A request whose inputs have been checked.

    Attributes
    ----------
    operation : Operation
        What is asked for.
    config : dict
        Its inputs in their normal form, as its Dagster job takes them.
    things : tuple of str
        What it reads, as `gateway.access` names it.
    key : str
        SHA-256: equal for requests that mean the same.
    """

    operation: Operation
    config: dict[str, Any]
    things: tuple[str, ...]
    key: str


@dataclass(frozen=True)
class Progress:
    """What has come of an operation.

    Attributes
    ----------
    status : str
        `PENDING`, `IN_PROGRESS`, `COMPLETED` or `FAILED`.
    progress : float
        How much is done, 0 to 1.
    message : str
        What is being done, or what went wrong.
    entry : Entry or None
        The outputs of a completed one.
    """

    status: Status
    progress: float = 0.0
    message: str = ""
    entry: Entry | None = None


def read_request(name: str, given: Mapping[str, Any]) -> OperationRequest:
    """Return what a client asks for.

    Parameters
    ----------
    name : str
        Name of the data operation.
    given : mapping of str to object
        Its inputs.

    Raises
    ------
    Alert
        There is no such operation, or an input is not acceptable.
    """
    operation = find_operation(name)
    values = operation.check(given)
    references: list[FitsReference] = []
    for key, declared in operation.inputs.items():
        references += declared.kind.references(values[key])
        # A set of images means the same in any order; channels are each its own.
        if isinstance(declared.kind, Fits) and not isinstance(declared.kind, ColorChannels):
            values[key] = sorted(values[key], key=lambda reference: (reference.basename, reference.name))
    config = {key: _plain(value) for key, value in values.items()}
    made_of = [operation.slug, operation.version, operation.source_sha256, config]
    digest = hashlib.sha256(json.dumps(made_of, sort_keys=True, allow_nan=False).encode()).hexdigest()
    return OperationRequest(operation, config, tuple(sorted({thing_of(each) for each in references})), digest)


def check_reads_inputs(caller: Caller, access: AccessBook, things: Iterable[str]) -> None:
    """Refuse a caller who may not read all that an operation is made of, as if it did not exist.

    Raises
    ------
    Refusal
        404, naming the first one.
    """
    for thing in things:
        if caller.may_read(thing):
            continue
        if thing.startswith("operation/") and access.may_read(caller, thing):
            continue
        kind, _, name = thing.partition("/")
        raise Refusal(404, f"There is no {kind} {name[:200]!r}, or this token may not read it.")


async def add_operation(
    gateway: Gateway, shelf: SessionShelf, session_id: int, request: OperationRequest, given: Mapping[str, Any]
) -> StoredOperation:
    """Return the operation of a request in a session, launched; one that has failed is launched again.

    Raises
    ------
    Refusal
        404, if there is no such session.
    Transient
        Dagster or the store does not answer.
    """
    new = StoredOperation(
        id=operation_id(session_id, request.key),
        name=request.operation.name,
        slug=request.operation.slug,
        input_data=dict(given),
        things=request.things,
        request_key=request.key,
        created=tell_now(),
    )
    stored = await run_in_threadpool(shelf.add, session_id, new)
    if stored.run_id and (await find_progress(gateway, stored)).status == "FAILED":
        again = {"attempt": stored.attempt + 1, "run_id": ""}
        stored = await run_in_threadpool(lambda: shelf.update(session_id, stored.id, **again))
    return await launch_operation(gateway, shelf, session_id, stored)


async def launch_operation(
    gateway: Gateway, shelf: SessionShelf, session_id: int, operation: StoredOperation
) -> StoredOperation:
    """Return an operation with its run, which is launched unless it has one.

    Raises
    ------
    Alert
        Dagster does not take its inputs; the operation is removed.
    Transient
        Dagster or the store does not answer.
    """
    if operation.run_id:
        return operation
    request = read_request(operation.name, operation.input_data)
    key = f"data_operation/{session_id}/{operation.id}/{operation.created}/{operation.attempt}"
    try:
        run_id = await gateway.launches.launch(operation.slug, key, request.config, {})
    except Alert:
        await run_in_threadpool(shelf.remove, session_id, operation.id)
        raise
    return await run_in_threadpool(lambda: shelf.update(session_id, operation.id, run_id=run_id))


async def find_progress(gateway: Gateway, operation: StoredOperation) -> Progress:
    """Return what has come of an operation, from what its run has noted, and from Dagster while that is open.

    Raises
    ------
    Transient
        Dagster or the store does not answer.
    """
    if not operation.run_id:
        return Progress("PENDING", message="Waits to be launched")
    note = await run_in_threadpool(read_note, gateway.store, operation.run_id)
    if note is not None and note.state == "COMPLETED":
        return await run_in_threadpool(_completed, gateway, operation, note)
    if note is not None and note.state == "FAILED":
        return Progress("FAILED", note.progress, note.message)
    return _unfinished(note, await gateway.dagster.run(operation.run_id))


def _completed(gateway: Gateway, operation: StoredOperation, note: Note) -> Progress:
    entry = load_entry(gateway.store, note.key)
    if entry is None:
        return Progress("FAILED", 1.0, _REMOVED)
    # From now on its outputs can be inputs of others, who must be able to read what they are made of.
    gateway.access.note(f"operation/{note.key}", operation.things)
    return Progress("COMPLETED", 1.0, "", entry)


def _unfinished(note: Note | None, run: Run | None) -> Progress:
    """Return what Dagster says of a run that has not noted its end."""
    done, message = (0.0, "") if note is None else (note.progress, note.message)
    if run is None:
        return Progress("FAILED", done, _FORGOTTEN)
    if run.is_over and run.status != "SUCCESS":
        return Progress("FAILED", done, _STOPPED)
    if note is None and run.status in {"QUEUED", "NOT_STARTED", "STARTING"}:
        return Progress("PENDING", message="Waits in Dagster's queue" if run.status == "QUEUED" else "Starts")
    return Progress("IN_PROGRESS", done, message)


def thing_of(reference: FitsReference) -> str:
    """Return what a reference reads, as `gateway.access` names it."""
    if reference.uri:
        return f"uri/{reference.name}"
    if reference.source == STORE_SOURCE:
        return f"operation/{reference.basename.partition('-')[0]}"
    return f"exposure/{reference.source}/{reference.basename}"


def _plain(value: Any) -> Any:
    """Return a checked value as plain JSON, with references as a request writes them."""
    if isinstance(value, FitsReference):
        return {name: told for name, told in value.model_dump().items() if told}
    if isinstance(value, Mapping):
        rest = {key: _plain(item) for key, item in value.items() if key != "file"}
        return {**_plain(value["file"]), **rest} if "file" in value else rest
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
