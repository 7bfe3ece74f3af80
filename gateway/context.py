"""What every route works with: one `Gateway` an app, as the dependency `TheGateway`, and its callers.

A route takes `Reader`, `Launcher` or `Administrator`, which give the `Caller` and refuse everybody else. A route that
takes none must be marked by `open_route` with the reason, or the app does not start.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.requests import HTTPConnection

from gateway.access import AccessBook
from gateway.audit import AuditLog
from gateway.dagster_client import DagsterClient
from gateway.errors import Refusal
from gateway.launches import Launches
from gateway.nonces import NonceBook
from gateway.readings import SharedReading
from gateway.settings import GatewaySettings
from gateway.tokens import Caller, Scope, TokenReader
from runstart.compute import ComputeEnvironment, JobBook, JobRecord
from runstart.storage import ObjectStore

__all__ = [
    "Administrator",
    "Credentials",
    "Gateway",
    "Launcher",
    "Reader",
    "TheGateway",
    "administers",
    "caller_of",
    "find_gateway",
    "is_guarded",
    "launches",
    "open_route",
    "reads",
]

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])

_OPEN = "__runstart_open__"
ANYBODY = Caller("anybody", Scope.READ)
"""Who has no token, where reading is open."""


class _Bearer(HTTPBearer):
    """Takes `Token` for `Bearer` too, as clients of Datalab say it."""

    async def __call__(self, request: HTTPConnection) -> HTTPAuthorizationCredentials | None:
        scheme, _, text = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "token" and text:
            return HTTPAuthorizationCredentials(scheme=scheme, credentials=text.strip())
        return await super().__call__(request)


_bearer = _Bearer(
    auto_error=False,
    scheme_name="HTTPBearer",
    description="A token of `runstart gateway token new`, or of the OIDC issuer.",
)


@dataclass(frozen=True)
class Gateway:
    """What routes work with.

    Attributes
    ----------
    settings : GatewaySettings
        What the deployment says.
    store : ObjectStore
        Everything that is kept; its methods block: call them in a thread, or in routes that are no coroutines.
    dagster : DagsterClient
        Runs.
    launches : Launches
        Launches that are one run however often they are asked for.
    tokens : TokenReader
        Knows callers.
    nonces : NonceBook
        Of those who sign.
    access : AccessBook
        Who may read what.
    audit : AuditLog
        Every change.
    jobs : JobBook
        Compute jobs.
    unfinished : SharedReading of list of JobRecord
        The compute jobs that have not ended, the oldest first.
    environments : mapping of str to ComputeEnvironment
        Where compute jobs run, by name.
    """

    settings: GatewaySettings
    store: ObjectStore
    dagster: DagsterClient
    launches: Launches
    tokens: TokenReader
    nonces: NonceBook
    access: AccessBook
    audit: AuditLog
    jobs: JobBook
    unfinished: SharedReading[list[JobRecord]]
    environments: Mapping[str, ComputeEnvironment]


def find_gateway(request: Request) -> Gateway:
    """Return what the app of a request works with."""
    gateway: Gateway = request.app.state.gateway
    return gateway


TheGateway = Annotated[Gateway, Depends(find_gateway)]
Credentials = Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)]


def caller_of(gateway: Gateway, credentials: HTTPAuthorizationCredentials | None, needed: Scope) -> Caller:
    """Return who asks.

    Parameters
    ----------
    gateway : Gateway
        Knows the tokens.
    credentials : HTTPAuthorizationCredentials or None
        From the header.
    needed : Scope
        What the route needs.

    Raises
    ------
    Refusal
        401 without a token that is known; 403 if its scope does not hold what is needed.
    """
    if credentials is None:
        text = "A bearer token is needed: send the header Authorization: Bearer TOKEN."
        raise Refusal(401, text, {"WWW-Authenticate": "Bearer"})
    caller = gateway.tokens.find(credentials.credentials)
    if caller is None:
        text = "This token is not known, or its time is over. Ask who runs the gateway for another."
        raise Refusal(401, text, {"WWW-Authenticate": 'Bearer error="invalid_token"'})
    if not caller.scope.holds(needed):
        raise Refusal(403, f"This token has the scope {caller.scope}; {needed} is needed.")
    return caller


def reads(request: Request, gateway: TheGateway, credentials: Credentials) -> Caller:
    """Give the caller of a route that reads."""
    if credentials is None and gateway.settings.open_reading:
        _refuse_names(request)
        return ANYBODY
    return caller_of(gateway, credentials, Scope.READ)


def launches(gateway: TheGateway, credentials: Credentials) -> Caller:
    """Give the caller of a route that starts, stops or changes something."""
    return caller_of(gateway, credentials, Scope.LAUNCH)


def administers(gateway: TheGateway, credentials: Credentials) -> Caller:
    """Give the caller of a route for administrators."""
    return caller_of(gateway, credentials, Scope.ADMIN)


def _refuse_names(request: Request) -> None:
    """Refuse who has come by a name: a page of elsewhere can make its own name mean this machine (DNS rebinding)."""
    host = request.url.hostname or ""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        if host != "localhost":
            text = "Without a token reading is open at http://localhost and at addresses by number only."
            raise Refusal(401, text, {"WWW-Authenticate": "Bearer"}) from None


Reader = Annotated[Caller, Depends(reads)]
Launcher = Annotated[Caller, Depends(launches)]
Administrator = Annotated[Caller, Depends(administers)]


def open_route(reason: str) -> Callable[[Endpoint], Endpoint]:
    """Mark a route that needs no bearer token; stands below the router's decorator.

    Parameters
    ----------
    reason : str
        Why everybody may call it, or how else it knows its callers.
    """

    def mark(endpoint: Endpoint) -> Endpoint:
        setattr(endpoint, _OPEN, reason)
        return endpoint

    return mark


def is_guarded(route: Any) -> bool:
    """Tell whether a route needs a bearer token or is marked as one that does not.

    Parameters
    ----------
    route : fastapi.routing.APIRoute
        The route.
    """
    if getattr(route.endpoint, _OPEN, ""):
        return True
    waiting = list(route.dependant.dependencies)
    while waiting:
        dependant = waiting.pop()
        if dependant.call in {reads, launches, administers}:
            return True
        waiting += dependant.dependencies
    return False
