"""The API's description: FastAPI's own, with our errors in place of its, and nothing that a route does not answer."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from gateway.errors import ErrorBody, answers
from gateway.ocean_models import PREFIX, StartRequest, StopRequest

__all__ = ["describe"]

_READ_BY_HAND = (StartRequest, StopRequest)
_NAMES = {
    "expires": 1774828800,
    "instrument": "MERLIN",
    "key": "0123456789abcdef" * 4,
    "microscope": "NCEM",
    "name": "overview.png",
    "number": 0,
    "pipeline": "center_of_mass",
    "run_id": "0b3c7f0e-6b0f-4a51-8d34-0d2f4c3f9a11",
    "signature": "0123456789abcdef" * 4,
    "site": "ogg",
}
"""Examples of names and numbers of which many routes take one."""
_THEIRS = ("HTTPValidationError", "ValidationError")
_TEXT = """
One API for every way into Runstart: compute jobs beside the data (Ocean's operator service), data operations, sessions,
live runs, frame scans and pipelines.

Every error has the body `{"error": text}`, and the text says what to do. Ocean's routes under `/api/v1/operator` know their
callers by a signature and a nonce; every other route needs a bearer token with the scope `read`, `launch` or `admin`, each
of which holds those before it.
"""


def describe(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI description of an app, made once.

    Parameters
    ----------
    app : FastAPI
        The app, with all its routes.
    """
    if app.openapi_schema is None:
        table = get_openapi(title=app.title, version=app.version, description=_TEXT, routes=app.routes)
        for methods in table["paths"].values():
            for operation in methods.values():
                _complete(operation)
        schemas = table.setdefault("components", {}).setdefault("schemas", {})
        for name in _THEIRS:
            schemas.pop(name, None)
        _, described = models_json_schema(
            [(model, "validation") for model in _READ_BY_HAND],
            ref_template=f"#/components/schemas/{PREFIX}{{model}}",
        )
        schemas |= {f"{PREFIX}{name}": schema for name, schema in described["$defs"].items()}
        schemas["ErrorBody"] = ErrorBody.model_json_schema()
        app.openapi_schema = table
    return app.openapi_schema


def _complete(operation: dict[str, Any]) -> None:
    # What is wrong in parameters or body is answered with 400.
    if operation["responses"].pop("422", None):
        operation["responses"].setdefault("400", answers(400)[400])
    for parameter in operation.get("parameters", ()):
        if parameter["name"] in _NAMES and not {"example", "examples"} & parameter.keys():
            parameter["example"] = _NAMES[parameter["name"]]
