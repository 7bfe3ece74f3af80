"""Requests for probe sessions in the object store, as edgeECHO took them over HTTP: `{"count": 9, "plain_stream": true}`.

Whoever writes one is not trusted: what is no request is refused with its reason, and stops no other.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runstart.errors import Alert
from runstart.probe_sessions.order import ProbeOrder
from runstart.storage import ObjectMissing, check_key

if TYPE_CHECKING:
    from runstart.storage import ObjectStore

REQUESTS_PREFIX = "session_requests/"

_LARGEST = 10_000
_FIELDS = {"count", "plain_stream"}


@dataclass(frozen=True)
class Request:
    """A session that somebody wants.

    Attributes
    ----------
    name : str
        Of the request.
    version : str
        Of its content: a request that is written anew is another one.
    count : int
        As in `ProbeOrder`.
    plain_stream : bool
        As in `ProbeOrder`.
    """

    name: str
    version: str
    count: int
    plain_stream: bool

    def order(self) -> ProbeOrder:
        """Return the order of a new session."""
        return ProbeOrder(self.count, self.plain_stream)


@dataclass(frozen=True)
class Refused:
    """A request that cannot be fulfilled.

    Attributes
    ----------
    name : str
        Of the request.
    version : str
        Of its content.
    reason : str
        What is wrong with it, and what would be right.
    """

    name: str
    version: str
    reason: str


def write_request(store: ObjectStore, count: int, *, plain_stream: bool, name: str = "") -> str:
    """Ask for a session, and return the request's name.

    Parameters
    ----------
    store : ObjectStore
        Takes the request.
    count : int
        How many messages.
    plain_stream : bool
        Whether without segmentation.
    name : str, optional
        Of the request; by default one that is new.

    Raises
    ------
    Alert
        The count or the name is not as it should be.
    Transient
        The store does not answer.
    """
    order = ProbeOrder(count, plain_stream)
    chosen = name or f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{order.session_id}"
    store.put(_key(chosen), json.dumps({"count": count, "plain_stream": plain_stream}).encode())
    return chosen


def read_requests(store: ObjectStore) -> list[Request | Refused]:
    """Return all requests, by name; those that cannot be fulfilled with the reason.

    Raises
    ------
    Transient
        The store does not answer.
    """
    found: list[Request | Refused] = []
    for key in store.list(REQUESTS_PREFIX):
        name = key.removeprefix(REQUESTS_PREFIX)
        try:
            stored = store.get(key)
        except ObjectMissing:
            continue
        try:
            count, plain_stream = _parse(name, stored.data)
        except Alert as alert:
            found.append(Refused(name.removesuffix(".json"), stored.etag, str(alert)))
        else:
            found.append(Request(name.removesuffix(".json"), stored.etag, count, plain_stream))
    return found


def remove_request(store: ObjectStore, name: str) -> None:
    """Remove a request; nothing if it is gone."""
    store.delete(_key(name))


def _key(name: str) -> str:
    try:
        key = check_key(f"{REQUESTS_PREFIX}{name}.json")
    except ValueError:
        key = ""
    if not key or "/" in name:
        remedy = "Use letters, digits and . _ = @ + -"
        raise Alert(f"{name[:100]!r} cannot be the name of a request.", remedy) from None
    return key


def _parse(name: str, data: bytes) -> tuple[int, bool]:
    remedy = 'Write {"count": 1000, "plain_stream": true} into a file named NAME.json.'
    if "/" in name or not name.endswith(".json") or len(data) > _LARGEST:
        raise Alert("This is no request.", remedy)
    try:
        table = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Alert(f"The request is not JSON: {error}.", remedy) from None
    if not isinstance(table, dict) or "count" not in table:
        raise Alert("The request has no count.", remedy)
    if unknown := sorted(table.keys() - _FIELDS):
        raise Alert(f"The request has the unknown field {unknown[0][:80]!r}.", remedy)
    plain_stream = table.get("plain_stream", True)
    if not isinstance(plain_stream, bool):
        raise Alert(f"plain_stream is {str(plain_stream)[:40]!r}.", "Write true or false.")
    return ProbeOrder(table["count"], plain_stream).count, plain_stream
