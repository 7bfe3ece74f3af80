"""What stands outside of every subject: who this is, whether it is well, and the API's description."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from gateway.context import TheGateway, open_route
from gateway.docs_page import STYLE_POLICY, render_docs
from gateway.errors import answers
from gateway.routes.page import page_file
from runstart import __version__

router = APIRouter(tags=["service"])


class Service(BaseModel):
    """Who this is."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "software": "Operator service",
                "version": "0.1.0",
                "address": "0x" + "1" * 40,
                "algoTimeLimit": 3600,
                "storageExpiry": 24,
            }
        }
    )

    software: str
    version: str
    address: str
    algo_time_limit: float | None = Field(alias="algoTimeLimit")
    storage_expiry: float | None = Field(alias="storageExpiry")


class Health(BaseModel):
    """How the gateway is."""

    status: str = Field(examples=["ok"])


@router.get("/", response_model=Service, responses=answers(), summary="Who this is; to a browser, the live page")
@open_route("says what everybody may know")
def show_service(gateway: TheGateway, accept: Annotated[str, Header(include_in_schema=False)] = "") -> Response:
    """Answer with software and version, as Ocean's clients expect, or with the live page if HTML is wanted."""
    if "text/html" in accept:
        return page_file("index.html")
    settings = gateway.settings
    return JSONResponse(
        {
            "software": "Operator service",
            "version": __version__,
            "address": settings.operator_address,
            "algoTimeLimit": settings.algo_time_limit,
            "storageExpiry": settings.storage_expiry,
        },
        headers={"Vary": "Accept"},
    )


@router.get("/health", responses=answers(), summary="Whether the gateway's process is alive")
@open_route("asked by the cluster")
async def show_health() -> Health:
    """Answer at once; nothing else is asked."""
    return Health(status="ok")


@router.get("/health/ready", responses=answers(), summary="Whether the object store and Dagster answer")
@open_route("asked by the cluster")
async def show_readiness(gateway: TheGateway) -> Health:
    """Ask the object store and Dagster; 503 if one does not answer."""
    await run_in_threadpool(gateway.store.head, "gateway/ready")
    await gateway.dagster.check()
    return Health(status="ok")


@router.get("/api/v1/docs", include_in_schema=False)
@open_route("says what everybody may know")
def show_docs(request: Request) -> HTMLResponse:
    """Show the API's description to people."""
    return HTMLResponse(
        render_docs(request.app.openapi()),
        headers={"Content-Security-Policy": STYLE_POLICY, "Cache-Control": "no-cache"},
    )
