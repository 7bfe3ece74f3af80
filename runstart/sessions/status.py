"""How a session stands: what is shown of it each second, and who is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from runstart.pipelines import Link, Rate


@dataclass(frozen=True)
class OperatorStatus:
    """How an operator stands, all its replicas and their predecessors together.

    Attributes
    ----------
    name : str
        Of the stage.
    state : str
        `starting`, `idle`, `busy`, `waiting to send`, `draining`, `error`, `restarting`, `ended` or `given up`.
    replicas, ready : int
        How many there are to be, and how many are ready.
    received, received_bytes, finished, failed, emitted : int
        Messages taken, their bytes, those worked on with success and without, and those made.
    messages_per_s, bytes_per_s : float
        Taken since the last status; of a source, sent.
    queue : int
        Messages on their way to it.
    kernel_ms : float
        Mean time of its function on a message, in milliseconds.
    dead_letters, restarts : int
        Messages that broke it, and how often a replica was started again.
    error : str or None
        The last one, until a message succeeds.
    """

    name: str
    state: str
    replicas: int
    ready: int
    received: int = 0
    received_bytes: int = 0
    finished: int = 0
    failed: int = 0
    emitted: int = 0
    messages_per_s: float = 0.0
    bytes_per_s: float = 0.0
    queue: int = 0
    kernel_ms: float = 0.0
    dead_letters: int = 0
    restarts: int = 0
    error: str | None = None


@dataclass(frozen=True)
class SessionStatus:
    """How a session stands.

    Attributes
    ----------
    session_id, name : str
        Of the session and its pipeline.
    state : str
        `queued`, `starting`, `running`, `draining`, or how it ended: `finished`, `failed` or `stopped`.
    reason : str
        Why it waits or has ended; empty otherwise.
    seconds : float
        Since it began.
    operators : tuple of OperatorStatus
        In topological order.
    rates : mapping of Link to Rate
        Of each edge.
    latency_ms : mapping of str to float
        Of each hop (`a -> b`) and each operator's function (`a`), from the newest tracked messages, in milliseconds.
    """

    session_id: str
    name: str
    state: str
    reason: str
    seconds: float
    operators: tuple[OperatorStatus, ...]
    rates: Mapping[Link, Rate]
    latency_ms: Mapping[str, float]

    def as_dict(self) -> dict[str, Any]:
        """Return everything as JSON takes it."""
        links = [{**asdict(link), **asdict(rate)} for link, rate in self.rates.items()]
        return {
            "session_id": self.session_id,
            "name": self.name,
            "state": self.state,
            "reason": self.reason,
            "seconds": round(self.seconds, 3),
            "operators": [asdict(operator) for operator in self.operators],
            "links": links,
            "latency_ms": dict(self.latency_ms),
        }


@dataclass(frozen=True)
class Published:
    """An output that an operator shows.

    Attributes
    ----------
    operator : str
        Stage that shows it.
    media_type : str
        Such as `image/png`.
    data : bytes
        The content.
    name : str
        What it is, for people; may be empty.
    keep : bool
        Whether it is kept beside the later ones.
    number : int
        From 0, in the order in which the operator's outputs came.
    """

    operator: str
    media_type: str
    data: bytes
    name: str
    keep: bool
    number: int


class SessionReporter(Protocol):
    """Is told of a session, always in the thread that runs it; must return soon."""

    def log(self, text: str) -> None:
        """Take a sentence for people."""

    def status(self, status: SessionStatus) -> None:
        """Take how the session stands; called each second."""

    def published(self, published: Published) -> None:
        """Take an output that an operator shows."""
