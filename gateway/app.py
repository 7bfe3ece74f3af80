"""The app: what comes before every route, and the routes; a route that nobody guards keeps it from starting."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager

from fastapi import APIRouter, FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi.routing import APIRoute

from gateway.access import AccessBook
from gateway.access_log import AccessLog
from gateway.audit import AuditLog
from gateway.context import Gateway, is_guarded
from gateway.dagster_client import DagsterClient
from gateway.errors import install_error_handlers
from gateway.facility import Facility
from gateway.launches import Launches
from gateway.limits import BodyLimit, CrowdLimit, RateLimit
from gateway.nonces import NonceBook
from gateway.openapi import describe
from gateway.readings import SharedReading
from gateway.routes import ROUTERS
from gateway.settings import GatewaySettings
from gateway.tokens import TokenBook, TokenReader
from gateway.watching import install_watching
from runstart import __version__
from runstart.compute import ComputeEnvironment, JobBook
from runstart.storage import ObjectStore

__all__ = ["check_guarded", "make_app"]

_HEALTH_PATHS = frozenset({"/health"})


def make_app(
    settings: GatewaySettings,
    store: ObjectStore,
    dagster: DagsterClient,
    environments: Mapping[str, ComputeEnvironment] | None = None,
    tokens: TokenReader | None = None,
    facility: Facility | None = None,
) -> FastAPI:
    """Return the gateway as an ASGI application.

    Parameters
    ----------
    settings : GatewaySettings
        What the deployment says.
    store : ObjectStore
        Keeps everything.
    dagster : DagsterClient
        Runs things; closed with the app.
    environments : mapping of str to ComputeEnvironment, optional
        Where compute jobs run, by name.
    tokens : TokenReader, optional
        Knows callers by their tokens; by default the book of tokens in the store.
    facility : Facility, optional
        Whose instruments, microscopes, sites and pipelines there are; none by default.

    Raises
    ------
    RuntimeError
        A route needs no token and is not marked as open: a bug.
    """

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        await dagster.close()

    app = FastAPI(
        title="Runstart gateway",
        version=__version__,
        openapi_url="/spec",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # a client would send its token to wherever the redirection leads
        lifespan=lifespan,
    )
    jobs = JobBook(store)
    app.state.gateway = Gateway(
        settings=settings,
        store=store,
        dagster=dagster,
        launches=Launches(store, dagster),
        tokens=TokenBook(store) if tokens is None else tokens,
        nonces=NonceBook(store),
        access=AccessBook(store),
        audit=AuditLog(store),
        jobs=jobs,
        unfinished=SharedReading(jobs.running),
        environments=dict(environments or {}),
    )
    install_watching(app, Facility() if facility is None else facility, store)
    install_error_handlers(app, check_guarded(ROUTERS))
    for router in ROUTERS:
        app.include_router(router)
    _add_middleware(app, settings)
    app.openapi = lambda: describe(app)  # type: ignore[method-assign] # as FastAPI's documentation says
    return app


def _add_middleware(app: FastAPI, settings: GatewaySettings) -> None:
    """Add what comes before the routes, the innermost first."""
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.cors_origins),
            allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "Range", "Last-Event-ID"],
            expose_headers=["Content-Disposition", "Content-Range", "Retry-After"],
        )
    # Behind the limit of bodies: who sends one slowly takes no place meanwhile.
    app.add_middleware(CrowdLimit, most=settings.crowd, exempt=_HEALTH_PATHS)
    app.add_middleware(BodyLimit, longest=settings.longest_body, timeout_s=settings.body_timeout_s)
    app.add_middleware(RateLimit, rate=settings.rate, burst=settings.burst, exempt=_HEALTH_PATHS)
    app.add_middleware(AccessLog)


def check_guarded(routers: Iterable[APIRouter]) -> list[APIRoute]:
    """See that every route needs a token or says why it needs none, and return them.

    Parameters
    ----------
    routers : iterable of APIRouter
        All that the app includes.

    Raises
    ------
    RuntimeError
        One does not, or is of a kind of which this cannot be told: a bug.
    """
    routes = []
    for route in (route for router in routers for route in router.routes):
        if not isinstance(route, APIRoute) or not is_guarded(route):
            raise RuntimeError(
                f"The route {getattr(route, 'path', route)} needs no token and is not marked by open_route."
            )
        routes.append(route)
    return routes
