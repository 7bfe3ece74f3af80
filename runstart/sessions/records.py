"""What is known of sessions, in the object store: who runs each, where, in what state, and what it has started.

A session's own process writes its record and, each second, its status; whoever else reads them cannot rely on
either: a record that is damaged, or of a later version, is reported beside the others and never stops a reader.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import socket
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from types import NoneType
from typing import Any, Literal, get_args

from runstart.errors import Alert, Transient
from runstart.storage import ObjectMissing, ObjectStore, PreconditionFailed

FORMAT = 1
SESSIONS_PREFIX = "sessions/"

Kind = Literal["pipeline", "probe"]
State = Literal["queued", "starting", "running", "draining", "finished", "failed", "stopped"]

KINDS: tuple[Kind, ...] = get_args(Kind)
STATES: tuple[State, ...] = get_args(State)
END_STATES: frozenset[State] = frozenset({"finished", "failed", "stopped"})

_SESSION_ID = re.compile(r"[0-9A-F]{16}")
_CONTESTED_TRIES = 20


@dataclass(frozen=True)
class NodeRecord:
    """One task of a session.

    Attributes
    ----------
    node_id : str
        The launcher's own name of it: of a container, the engine's id.
    operator : str
        Which operator it is.
    replica : int
        Its number among the operator's replicas, from 0.
    started_at : float
        Unix time in seconds.
    finished_at : float or None
        Unix time in seconds; None while it runs.
    status : str
        `running`, `exited`, or why it ended otherwise.
    """

    node_id: str
    operator: str
    replica: int
    started_at: float
    finished_at: float | None = None
    status: str = "running"


@dataclass(frozen=True)
class SessionRecord:
    """A session, as it is known to everybody.

    Attributes
    ----------
    session_id : str
        16 upper-case hexadecimal digits.
    kind : str
        `pipeline` or `probe`.
    name : str
        Of its pipeline, or what it is.
    run_id : str
        Of the Dagster run that it belongs to; empty without one.
    launcher : str
        `processes`, `containers` or `pods`.
    host : str
        Machine, or pod, of the process that runs the session.
    pid : int
        That process.
    folder : str
        The session's folder on that machine; empty if it has none.
    network : str
        Its network; empty if it has none.
    state : str
        One of `STATES`.
    reason : str
        Why it waits or has ended; empty otherwise.
    started_at : float
        Unix time in seconds.
    ended_at : float or None
        Unix time in seconds; None until it has ended.
    nodes : tuple of NodeRecord
        The tasks that it has started.
    details : mapping
        What the kind of session adds, as JSON takes it.
    """

    session_id: str
    kind: Kind
    name: str
    run_id: str = ""
    launcher: str = "processes"
    host: str = field(default_factory=socket.gethostname)
    pid: int = field(default_factory=os.getpid)
    folder: str = ""
    network: str = ""
    state: State = "queued"
    reason: str = ""
    started_at: float = field(default_factory=time.time)
    ended_at: float | None = None
    nodes: tuple[NodeRecord, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def has_ended(self) -> bool:
        """Whether nothing of it runs any more."""
        return self.state in END_STATES


@dataclass(frozen=True)
class DamagedRecord:
    """A record that cannot be read.

    Attributes
    ----------
    session_id : str
        As its key says.
    trouble : str
        What is wrong with it.
    """

    session_id: str
    trouble: str


def new_session_id() -> str:
    """Return a new session's name: 16 upper-case hexadecimal digits."""
    return secrets.token_hex(8).upper()


def is_session_id(text: str) -> bool:
    """Tell whether a text is a session's name."""
    return _SESSION_ID.fullmatch(text) is not None


def session_key(session_id: str, *parts: str) -> str:
    """Return the key of an object of a session, such as `sessions/0123456789ABCDEF/status.json`.

    Raises
    ------
    Alert
        The session's name is none.
    """
    if not is_session_id(session_id):
        what = f"{session_id[:100]!r} is no session."
        raise Alert(what, "Say its 16 upper-case hexadecimal digits; `runstart session list` shows them.")
    return "/".join((f"{SESSIONS_PREFIX}{session_id}", *parts))


def write_record(store: ObjectStore, record: SessionRecord) -> None:
    """Write a session's record, over what is there.

    Raises
    ------
    Transient
        The store does not answer.
    """
    store.put(session_key(record.session_id, "record.json"), encode_record(record))


def read_record(store: ObjectStore, session_id: str) -> SessionRecord:
    """Return the record of a session.

    Raises
    ------
    Alert
        There is no such session, or its record cannot be read.
    Transient
        The store does not answer.
    """
    key = session_key(session_id, "record.json")
    try:
        return _from_bytes(store.get(key).data, session_id)
    except ObjectMissing:
        raise Alert(
            f"There is no session {session_id}.", "See `runstart session list` for those there are."
        ) from None
    except ValueError as error:
        what = f"The record of session {session_id} cannot be read: {error}."
        raise Alert(what, f"Remove the object {key}; what is left of the session is then cleaned up.") from error


def read_records(store: ObjectStore) -> list[SessionRecord]:
    """Return all records that can be read, the newest session first.

    Raises
    ------
    Transient
        The store does not answer.
    """
    return [record for record in read_all_records(store) if isinstance(record, SessionRecord)]


def read_all_records(store: ObjectStore) -> list[SessionRecord | DamagedRecord]:
    """Return all records, the newest session first, and after them those that cannot be read.

    Raises
    ------
    Transient
        The store does not answer.
    """
    records: list[SessionRecord] = []
    damaged: list[SessionRecord | DamagedRecord] = []
    for key in store.list(SESSIONS_PREFIX):
        session_id, _, name = key.removeprefix(SESSIONS_PREFIX).partition("/")
        if name != "record.json":
            continue
        try:
            records.append(_from_bytes(store.get(key).data, session_id))
        except ObjectMissing:
            continue
        except ValueError as error:
            damaged.append(DamagedRecord(session_id, str(error)))
    return [*sorted(records, key=lambda record: (-record.started_at, record.session_id)), *damaged]


def end_record(store: ObjectStore, session_id: str, state: State, reason: str, now: float) -> bool:
    """Write that a session has ended, unless its record says so already.

    Parameters
    ----------
    store : ObjectStore
        Has the record.
    session_id : str
        The session.
    state : str
        `finished`, `failed` or `stopped`.
    reason : str
        Why.
    now : float
        Unix time in seconds; nodes that run in the record end now, too.

    Returns
    -------
    bool
        Whether it was this call that has ended it.

    Raises
    ------
    Alert
        There is no such record, or it cannot be read.
    Transient
        The store does not answer, or others write the record all the time.
    """
    key = session_key(session_id, "record.json")
    for _ in range(_CONTESTED_TRIES):
        etag = store.head(key)
        record = read_record(store, session_id)
        if record.has_ended:
            return False
        ended = ended_record(record, state, reason, now)
        # Between the two reads the session may have written: then this put is refused, and its word is read again.
        with contextlib.suppress(PreconditionFailed):
            store.put_if_match(key, encode_record(ended), etag or "")
            return True
    raise Transient(f"The record of session {session_id} is written by others all the time.")


def ended_record(record: SessionRecord, state: State, reason: str, now: float) -> SessionRecord:
    """Return a record with the session's end, and that of the nodes that still ran, in it."""
    nodes = tuple(
        node if node.finished_at is not None else replace(node, finished_at=now, status=reason or state)
        for node in record.nodes
    )
    return replace(record, state=state, reason=reason, ended_at=now, nodes=nodes)


def read_status(store: ObjectStore, session_id: str) -> dict[str, Any]:
    """Return how a session stands, with `at`, its last sign of life in Unix seconds; empty if that cannot be read.

    Raises
    ------
    Transient
        The store does not answer.
    """
    try:
        status = json.loads(store.get(session_key(session_id, "status.json")).data)
    except (ObjectMissing, ValueError):
        return {}
    return status if isinstance(status, dict) else {}


def encode_record(record: SessionRecord) -> bytes:
    """Return a record as it is stored."""
    return json.dumps({"format": FORMAT, **asdict(record)}, sort_keys=True, indent=1).encode()


_TEXTS = ("session_id", "name", "run_id", "launcher", "host", "folder", "network", "reason")
_NODE_TYPES: dict[str, tuple[type, ...]] = {
    "node_id": (str,),
    "operator": (str,),
    "replica": (int,),
    "started_at": (int, float),
    "finished_at": (int, float, NoneType),
    "status": (str,),
}
_TYPES: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(_TEXTS, (str,)),
    "kind": (str,),
    "state": (str,),
    "pid": (int,),
    "started_at": (int, float),
    "ended_at": (int, float, NoneType),
    "nodes": (list,),
    "details": (dict,),
}


def _from_bytes(data: bytes, session_id: str) -> SessionRecord:
    table = json.loads(data)
    if not isinstance(table, dict) or table.get("format") != FORMAT:
        raise ValueError("it is of another format")
    values = _checked(table, _TYPES)
    if values["session_id"] != session_id or not is_session_id(session_id):
        raise ValueError(f"it calls itself {values['session_id'][:100]!r}")
    if values["kind"] not in KINDS or values["state"] not in STATES:
        raise ValueError(f"it is of the kind {values['kind'][:100]!r} and in the state {values['state'][:100]!r}")
    nodes = tuple(NodeRecord(**_checked(node, _NODE_TYPES)) for node in values["nodes"])
    return SessionRecord(**{**values, "nodes": nodes})


def _checked(table: object, types: Mapping[str, tuple[type, ...]]) -> dict[str, Any]:
    """Return the fields that are known, each of a type that it may have."""
    if not isinstance(table, dict):
        raise ValueError("a node of it is no object")
    for name, kinds in types.items():
        value = table.get(name, ...)
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise ValueError(f"its field {name} is missing or of another type")
    return {name: table[name] for name in types}
