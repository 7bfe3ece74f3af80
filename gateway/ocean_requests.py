"""What a request of Ocean's routes says, checked: from the query string if there is one, else from the JSON body."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from fastapi import Request

from gateway.errors import Refusal
from gateway.nonces import parse_nonce
from gateway.signatures import is_address

__all__ = ["OceanRequest", "read_request"]

_JOB_ID = re.compile(r"[0-9a-f]{32}")
_LONGEST_TEXT = 200
_SHORTEST_TEXT = 2
"""Shorter texts count as not given, as in the reference."""
_CHAIN = re.compile(r"[0-9]{1,16}")
_INDEX = re.compile(r"-?[0-9]{1,18}")


class OceanRequest:
    """The arguments of one request.

    Parameters
    ----------
    call : str
        The route, as texts name it, such as `GET:/compute`.
    arguments : mapping
        As they came.
    """

    def __init__(self, call: str, arguments: Mapping[str, Any]) -> None:
        self.call = call
        self._arguments = arguments

    def __bool__(self) -> bool:
        return bool(self._arguments)

    def get(self, name: str) -> Any:
        """Return an argument as it came, or None."""
        return self._arguments.get(name)

    def require(self, *names: str) -> None:
        """Refuse the request if one of these is not there or empty."""
        for name in names:
            if self.get(name) in (None, ""):
                raise Refusal(400, f'"{name}" is required in the call to {self.call}')

    def text(self, name: str) -> str:
        """Return a short text; empty if it is not given."""
        value = self.get(name)
        if value is None:
            return ""
        if (
            not isinstance(value, str)
            or len(value) > _LONGEST_TEXT
            or not (value.isascii() and value.isprintable())
        ):
            raise Refusal(400, f'"{name}" must be a text of at most {_LONGEST_TEXT} printable ASCII characters')
        return value if len(value) >= _SHORTEST_TEXT else ""

    def owner(self) -> str:
        """Return the owner's address as it came; empty if it is not given."""
        owner = self.text("owner")
        if owner and not is_address(owner):
            raise Refusal(400, '"owner" must be an address: 0x and 40 hexadecimal digits')
        return owner

    def job_id(self) -> str:
        """Return the job's id; empty if it is not given."""
        job_id = self.text("jobId")
        if job_id and not _JOB_ID.fullmatch(job_id):
            raise Refusal(400, '"jobId" must be 32 hexadecimal digits')
        return job_id

    def nonce(self) -> str:
        """Return the nonce as it was signed."""
        return parse_nonce(self.get("nonce"))

    def signature(self) -> str:
        """Return the signature as it came."""
        value = self.get("providerSignature")
        return value if isinstance(value, str) else ""

    def chain_id(self) -> int | None:
        """Return the chain, or None if it is not given."""
        return self._integer("chainId", _CHAIN)

    def index(self) -> int:
        """Return the index of a result."""
        return self._integer("index", _INDEX) or 0

    def _integer(self, name: str, form: re.Pattern[str]) -> int | None:
        value = self.get(name)
        if value is None or value == "":
            return None
        if isinstance(value, bool) or not form.fullmatch(str(value)):
            raise Refusal(400, f'"{name}" must be a whole number')
        return int(value)


async def read_request(request: Request, call: str) -> OceanRequest:
    """Return what a request says.

    Parameters
    ----------
    request : Request
        The request.
    call : str
        The route, as texts name it.

    Raises
    ------
    Refusal
        400: the body is not a JSON object.
    """
    query = request.query_params
    if query:
        # An argument that comes twice counts as it came first.
        return OceanRequest(call, {name: query.getlist(name)[0] for name in query})
    return OceanRequest(call, _parse(await request.body()))


def _parse(body: bytes) -> Mapping[str, Any]:
    if not body.strip():
        return {}
    try:
        table = json.loads(body, parse_constant=_refuse_constant)
        # Half a surrogate pair can be written in JSON, but neither stored nor signed.
        json.dumps(table, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise Refusal(400, "The body is not JSON.") from None
    if not isinstance(table, dict):
        raise Refusal(400, "The body must be a JSON object.")
    return table


def _refuse_constant(name: str) -> Any:
    message = f"{name} is no JSON"
    raise ValueError(message)
