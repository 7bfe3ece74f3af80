"""What goes wrong, as HTTP says it: one body for every error, `{"error": text}`, the same text for the same cause.

A text never holds what only the operator of the gateway may know: paths, addresses, tracebacks, secrets.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException
from starlette.routing import Match

from runstart.errors import Alert, Transient

RETRY_AFTER_S = 5
NO_ADDRESS = "There is nothing at this address: see /api/v1/docs."
INTERNAL = "This is a fault of the gateway: its log says more."

_EXAMPLES = {
    400: "limit: Input should be a valid integer.",
    401: "A bearer token is needed: send the header Authorization: Bearer TOKEN.",
    403: "This token has the scope read; launch is needed.",
    404: "There is nothing of this name.",
    405: "This address does not take this method: the header Allow says which it takes.",
    409: "It is not in a state in which this can be done.",
    408: "The body did not arrive in time.",
    413: "The body is longer than 2097152 bytes.",
    416: "The range is not within the result of 1024 bytes.",
    429: "Too many requests. Wait as long as Retry-After says.",
    500: INTERNAL,
    503: "Dagster does not answer. Try again.",
}
_DESCRIPTIONS = {
    400: "Something in the request is wrong; the text says what.",
    401: "Who asks is not known, or not allowed.",
    403: "Who asks may not do this.",
    404: "There is no such thing, or who asks may not read it.",
    405: "This method is not for this address.",
    409: "Not possible in the state that it is in.",
    408: "The body came too slowly.",
    413: "The body is too long.",
    416: "The range lies outside.",
    429: "Too many requests.",
    500: "A fault of the gateway.",
    503: "Dagster or the object store does not answer; nothing was changed, or it can be asked for again.",
}
_EVERYWHERE = (408, 413, 429, 500, 503)
_log = logging.getLogger(__name__)


class ErrorBody(BaseModel):
    """The body of every answer that is no success.

    Attributes
    ----------
    error : str
        What was wrong, and what to do.
    """

    model_config = ConfigDict(extra="forbid")

    error: str


class Refusal(Exception):
    """An answer that is no success.

    Parameters
    ----------
    status : int
        The HTTP status, 400 or above.
    text : str
        What was wrong, and what to do.
    headers : mapping of str to str, optional
        More headers of the answer.
    """

    def __init__(self, status: int, text: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.headers = dict(headers or {})


def answers(*statuses: int, texts: Mapping[int, str] | None = None) -> dict[int | str, dict[str, Any]]:
    """Return what OpenAPI is told of a route's errors; give it to the route as `responses`.

    Parameters
    ----------
    *statuses : int
        Those of the route's own; 408, 413, 429, 500 and 503 come with every route.
    texts : mapping of int to str, optional
        Examples of this route's own texts.
    """
    examples = _EXAMPLES | dict(texts or {})
    described: dict[int | str, dict[str, Any]] = {}
    for status in sorted({*statuses, *_EVERYWHERE}):
        described[status] = {
            "description": _DESCRIPTIONS[status],
            "content": {
                "application/json": {
                    "schema": {"$ref": "#/components/schemas/ErrorBody"},
                    "example": {"error": examples[status]},
                }
            },
        }
        if status in {429, 503}:
            described[status]["headers"] = {
                "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 0}}
            }
    return described


def error_response(status: int, text: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """Return an answer that is no success.

    Parameters
    ----------
    status : int
        The HTTP status.
    text : str
        What was wrong, and what to do.
    headers : mapping of str to str, optional
        More headers.
    """
    more = {"Retry-After": str(RETRY_AFTER_S)} if status == 503 else {}
    return JSONResponse({"error": " ".join(text.split())}, status, {**more, **(headers or {})})


def install_error_handlers(app: FastAPI, routes: Sequence[APIRoute]) -> None:
    """Make every error of an app an answer of one form.

    Parameters
    ----------
    app : FastAPI
        The app.
    routes : sequence of APIRoute
        All its routes.
    """

    async def answer_method(request: Request, _error: Exception) -> JSONResponse:
        allowed = ", ".join(_allowed(routes, request))
        return error_response(405, _EXAMPLES[405], {"Allow": allowed})

    for kind in (Refusal, HTTPException, RequestValidationError, Alert, Transient, Exception):
        app.add_exception_handler(kind, _answer)
    app.add_exception_handler(405, answer_method)


def describe_invalid(errors: Any) -> str:
    """Return the first of pydantic's errors as a sentence that names the field.

    Parameters
    ----------
    errors : sequence of mapping
        As `ValidationError.errors()` gives them.
    """
    first = errors[0]
    if first["type"] in {"json_invalid", "json_type"}:
        return "The body is not JSON."
    place = [str(part) for part in first["loc"]]
    where = ".".join(place[1:] if len(place) > 1 and place[0] in {"body", "query", "path", "header"} else place)
    return f"{where or 'body'}: {first['msg']}."


async def _answer(request: Request, error: Exception) -> JSONResponse:
    match error:
        case Refusal():
            return error_response(error.status, error.text, error.headers)
        case HTTPException(status_code=404):  # Refusals say what there is not
            return error_response(404, NO_ADDRESS)
        case HTTPException():
            return error_response(error.status_code, str(error.detail), error.headers)
        case RequestValidationError():
            return error_response(400, describe_invalid(error.errors()))
        case Alert():
            return error_response(400, str(error))
        case Transient():
            # What the world says of itself names addresses and folders: that is for the log.
            _log.warning("%s %r: %s", request.method, request.url.path, error)
            return error_response(503, getattr(error, "told", "What this needs does not answer. Try again."))
    return error_response(500, INTERNAL)


def _allowed(routes: Sequence[APIRoute], request: Request) -> list[str]:
    """Return the methods of an address: of all routes with the most specific path that fits."""
    fitting = [route for route in routes if route.matches(request.scope)[0] is not Match.NONE]
    fewest = min(len(route.param_convertors) for route in fitting)
    chosen = [route for route in fitting if len(route.param_convertors) == fewest]
    return sorted({method for route in chosen for method in route.methods or ()})
