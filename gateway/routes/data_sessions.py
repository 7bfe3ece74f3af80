"""Data sessions after Datalab's API: a user's own, with filters and pages."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from gateway.context import Gateway, Launcher, Reader, TheGateway
from gateway.data_sessions import MOST_INPUTS, DataSession, SessionShelf
from gateway.errors import answers
from gateway.operation_answers import OperationAnswer, answer_operation
from gateway.tokens import Caller

PAGE_SIZE = 100
MOST_OFFSET = 10**9
_EXAMPLE_INPUT = {"basename": "ogg0m404-kb82-20260328-0012-e91", "source": "archive"}

Number = Annotated[int, Path(ge=0, le=2**53, examples=[1234])]
InputData = Annotated[list[dict[str, Any]], Field(max_length=MOST_INPUTS, examples=[[_EXAMPLE_INPUT]])]
Name = Annotated[str, Field(min_length=1, max_length=150, examples=["M51"])]

router = APIRouter(prefix="/api/datasessions", tags=["data sessions"])


def _read_time(text: object) -> object:
    """Take a time as ISO 8601 writes it; pydantic would take seconds since 1970 too."""
    return datetime.fromisoformat(text) if isinstance(text, str) else text


Time = Annotated[datetime, BeforeValidator(_read_time)]


class SessionNew(BaseModel):
    """A session that is to be made, or what it is to be from now on."""

    model_config = ConfigDict(extra="ignore")

    name: Name
    input_data: InputData = []


class SessionChange(BaseModel):
    """What is to be changed of a session; inputs are added to those that it has."""

    model_config = ConfigDict(extra="ignore")

    name: Name | None = None
    input_data: InputData = []


class SessionAnswer(BaseModel):
    """A session."""

    id: int = Field(examples=[1234])
    name: str
    user: str
    input_data: list[dict[str, Any]]
    operations: list[OperationAnswer] = []
    created: str = Field(examples=["2026-03-28T20:15:00.000000Z"])
    modified: str


class SessionPage(BaseModel):
    """One page of sessions."""

    count: int = Field(description="Of all sessions that the filters let pass.")
    next: str | None = Field(None, description="Address of the next page.")
    previous: str | None = None
    results: list[SessionAnswer]


class SessionFilters(BaseModel):
    """Which sessions are listed; times without a zone are UTC."""

    model_config = ConfigDict(extra="ignore")

    created_after: Time | None = None
    created_before: Time | None = None
    modified_after: Time | None = None
    modified_before: Time | None = None
    name: str | None = Field(None, max_length=150, description="Is part of its name, in capitals or not.")
    name_exact: str | None = Field(None, max_length=150)
    user: str | None = Field(None, max_length=150, description="Is part of its user's name.")
    user_exact: str | None = Field(None, max_length=150)
    limit: int = Field(PAGE_SIZE, ge=1, le=1000)
    offset: int = Field(0, ge=0, le=MOST_OFFSET)

    def let_pass(self, session: DataSession) -> bool:
        """Tell whether a session is one of those that are wanted."""
        created, modified = _time(session.created), _time(session.modified)
        return all(
            (
                self.created_after is None or created >= _with_zone(self.created_after),
                self.created_before is None or created <= _with_zone(self.created_before),
                self.modified_after is None or modified >= _with_zone(self.modified_after),
                self.modified_before is None or modified <= _with_zone(self.modified_before),
                self.name is None or self.name.casefold() in session.name.casefold(),
                self.name_exact is None or self.name_exact == session.name,
                self.user is None or self.user.casefold() in session.user.casefold(),
                self.user_exact is None or self.user_exact == session.user,
            )
        )


@router.get("/", responses=answers(400, 401, 403))
async def list_sessions(
    request: Request, gateway: TheGateway, caller: Reader, filters: Annotated[SessionFilters, Query()]
) -> SessionPage:
    """List your sessions, the oldest first."""
    sessions = await run_in_threadpool(SessionShelf(gateway.store, caller.name).sessions)
    wanted = [session for session in sessions if filters.let_pass(session)]
    first, last = filters.offset, filters.offset + filters.limit
    shown = await asyncio.gather(*(answer_session(gateway, caller, session) for session in wanted[first:last]))
    return SessionPage(
        count=len(wanted),
        next=_page(request, last, filters.limit) if last < len(wanted) else None,
        previous=_page(request, max(0, first - filters.limit), filters.limit) if first else None,
        results=list(shown),
    )


@router.post("/", status_code=201, responses=answers(400, 401, 403))
async def create_session(gateway: TheGateway, caller: Launcher, wanted: SessionNew) -> SessionAnswer:
    """Make a session."""
    shelf = SessionShelf(gateway.store, caller.name)
    session = await run_in_threadpool(shelf.create, wanted.name, wanted.input_data)
    await run_in_threadpool(gateway.audit.write, caller.name, "data_session.create", str(session.id))
    return await answer_session(gateway, caller, session)


@router.get("/{session_id}/", responses=answers(400, 401, 403, 404))
async def show_session(gateway: TheGateway, caller: Reader, session_id: Number) -> SessionAnswer:
    """Give a session with its operations."""
    session = await run_in_threadpool(SessionShelf(gateway.store, caller.name).session, session_id)
    return await answer_session(gateway, caller, session)


@router.put("/{session_id}/", responses=answers(400, 401, 403, 404))
async def replace_session(
    gateway: TheGateway, caller: Launcher, session_id: Number, wanted: SessionNew
) -> SessionAnswer:
    """Rename a session, and add inputs; those that it has stay."""
    return await _change(gateway, caller, session_id, wanted.name, wanted.input_data)


@router.patch("/{session_id}/", responses=answers(400, 401, 403, 404))
async def change_session(
    gateway: TheGateway, caller: Launcher, session_id: Number, wanted: SessionChange
) -> SessionAnswer:
    """Rename a session, or add inputs; those that it has stay."""
    return await _change(gateway, caller, session_id, wanted.name, wanted.input_data)


@router.delete("/{session_id}/", status_code=204, responses=answers(400, 401, 403, 404))
async def delete_session(gateway: TheGateway, caller: Launcher, session_id: Number) -> None:
    """Remove a session with its operations; what they have made stays in the cache."""
    shelf = SessionShelf(gateway.store, caller.name)
    await run_in_threadpool(shelf.session, session_id)
    await run_in_threadpool(gateway.audit.write, caller.name, "data_session.delete", str(session_id))
    await run_in_threadpool(shelf.delete, session_id)


async def answer_session(gateway: Gateway, caller: Caller, session: DataSession) -> SessionAnswer:
    """Return a session as routes tell of it."""
    stored = await run_in_threadpool(SessionShelf(gateway.store, caller.name).operations, session.id)
    operations = await asyncio.gather(*(answer_operation(gateway, caller, each) for each in stored))
    return SessionAnswer(
        id=session.id,
        name=session.name,
        user=session.user,
        input_data=list(session.input_data),
        operations=list(operations),
        created=session.created,
        modified=session.modified,
    )


async def _change(
    gateway: Gateway, caller: Caller, session_id: int, name: str | None, more: list[dict[str, Any]]
) -> SessionAnswer:
    shelf = SessionShelf(gateway.store, caller.name)
    session = await run_in_threadpool(shelf.change, session_id, name, more)
    await run_in_threadpool(gateway.audit.write, caller.name, "data_session.change", str(session_id))
    return await answer_session(gateway, caller, session)


def _page(request: Request, offset: int, limit: int) -> str:
    return str(request.url.include_query_params(offset=offset, limit=limit))


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _with_zone(time: datetime) -> datetime:
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time
