"""What is asked of a probe session, and the names and ports that it gets, in edgeECHO's forms."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

from runstart.errors import Alert
from runstart.probe_sessions.programs import Program
from runstart.sessions.records import new_session_id

MOST_MESSAGES = 10_000_000

_HEXADECIMAL = "0123456789ABCDEF"
_PORT_DIGITS = "123456"
_LOOPBACK = "127.0.0.1"
_EVERYWHERE = "0.0.0.0"  # noqa: S104 - of a container, which is on its session's network only


@dataclass(frozen=True)
class ProbeOrder:
    """A probe session that is to be run.

    Attributes
    ----------
    count : int
        How many messages the probe sends, 1 to 10 000 000.
    plain_stream : bool
        Whether streaming is the last one to get them; otherwise it forwards them to segmentation.
    session_id : str
        16 upper-case hexadecimal digits; a new one by default.

    Raises
    ------
    Alert
        The count is none of these.
    """

    count: int
    plain_stream: bool = True
    session_id: str = field(default_factory=new_session_id)

    def __post_init__(self) -> None:
        is_number = isinstance(self.count, int) and not isinstance(self.count, bool)
        if not is_number or not 1 <= self.count <= MOST_MESSAGES:
            what = f"A probe session cannot send {str(self.count)[:40]!r} messages."
            raise Alert(what, f"Ask for a whole number from 1 to {MOST_MESSAGES:,}.".replace(",", " "))

    @property
    def stream_type(self) -> str:
        """`plain` or `segmented`."""
        return "plain" if self.plain_stream else "segmented"

    @property
    def programs(self) -> tuple[Program, ...]:
        """The programs that it needs, in the order in which they are started."""
        return ("probe", "streaming") if self.plain_stream else ("probe", "streaming", "segmentation")


@dataclass(frozen=True)
class Names:
    """How the programs of a session find each other.

    Attributes
    ----------
    network : str
        Of the session; empty for processes, which share this machine's.
    probe, stream : str
        Host names, as the others see them.
    ports : mapping of str to int
        Of the probe and of streaming; 0 for one that the program chooses.
    """

    network: str
    probe: str
    stream: str
    ports: Mapping[str, int]

    def alias(self, program: Program) -> str | None:
        """Return the name under which a program is known on the session's network; None if it has none."""
        return {"probe": self.probe, "streaming": self.stream}.get(program) if self.network else None


def make_names(*, has_network: bool, is_on_cluster: bool = False) -> Names:
    """Return new names and ports: on a network of the session, or on this machine, where only free ports can be had.

    Parameters
    ----------
    has_network : bool
        Whether the session has a network of its own.
    is_on_cluster : bool, optional
        Whether names must be as Kubernetes has them: edgeECHO's in small letters, with hyphens.
    """
    if not has_network:
        return Names("", _LOOPBACK, _LOOPBACK, {"probe": 0, "streaming": 0})
    ports = {"probe": _port(), "streaming": _port()}
    names = (f"{what}_{_five()}" for what in ("network", "probe", "stream"))
    network, probe, stream = (name.lower().replace("_", "-") if is_on_cluster else name for name in names)
    return Names(network, probe, stream, ports)


def environment_of(program: Program, order: ProbeOrder, names: Names, ports: Mapping[str, int]) -> dict[str, str]:
    """Return what a program is told, in edgeECHO's variables.

    Parameters
    ----------
    program : str
        Which.
    order : ProbeOrder
        What is asked.
    names : Names
        Where the others are.
    ports : mapping of str to int
        Where those that have been started listen; where the program itself is to.
    """
    own = _EVERYWHERE if names.network else _LOOPBACK
    probe = {"probe_ip": own if program == "probe" else names.probe, "probe_port": str(ports["probe"])}
    stream = {"stream_ip": own if program == "streaming" else names.stream, "stream_port": str(ports["streaming"])}
    match program:
        case "probe":
            return {**probe, "count": str(order.count)}
        case "streaming":
            return {**probe, **stream, "plain_stream": str(order.plain_stream)}
        case "segmentation":
            return stream


def _five() -> str:
    return "".join(secrets.choice(_HEXADECIMAL) for _ in range(5))


def _port() -> int:
    return int("".join(secrets.choice(_PORT_DIGITS) for _ in range(4)))
