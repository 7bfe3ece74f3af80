"""What an operator's process is told to be: by a session in one environment variable, or by nobody."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runstart.errors import Alert
from runstart.operators.own_specification import OwnSpecification

VARIABLE = "RUNSTART_OPERATOR_ORDER"

_RESOLVE_S = 20.0
_QUEUE = 100


@dataclass(frozen=True)
class Order:
    """What an operator's process is told.

    Attributes
    ----------
    session, operator : str
        Names.
    replica, incarnation : int
        Which of the operator's processes it is, and how often it was started before.
    parameters : dict of str to Any
        Checked values.
    triggers : dict of str to str
        Modes, `single` or `drain`, by name.
    inputs, outputs : dict of str to tuple of str
        Sockets by port: those to connect to, and those to bind, one for each operator behind.
    control : str or None
        The session's socket.
    control_key : str or None
        The key by which the session is known, if its socket is on a network.
    control_token : str
        Shows the session that it is this process who speaks.
    counters : Path or None
        File to count in; None: the session is told the counts.
    data_directory : Path or None
        Where mount parameters are; None: they have to be linked.
    queue : int
        High-water mark of each socket, in messages.
    resolve_s : float
        How long to wait for the host names of the inputs, in seconds.
    """

    session: str = ""
    operator: str = "operator"
    replica: int = 0
    incarnation: int = 0
    parameters: dict[str, Any] = field(default_factory=dict)
    triggers: dict[str, str] = field(default_factory=dict)
    inputs: dict[str, tuple[str, ...]] = field(default_factory=dict)
    outputs: dict[str, tuple[str, ...]] = field(default_factory=dict)
    control: str | None = None
    control_key: str | None = None
    control_token: str = ""
    counters: Path | None = None
    data_directory: Path | None = None
    queue: int = _QUEUE
    resolve_s: float = _RESOLVE_S

    @property
    def identity(self) -> str:
        """The process among all of the session."""
        name = f"{self.operator}/{self.replica}/{self.incarnation}"
        return f"{name}/{self.control_token}" if self.control_token else name

    @property
    def is_own(self) -> bool:
        """Whether nobody has given it: the operator is run by hand."""
        return not self.session

    @property
    def is_source(self) -> bool:
        """Whether it makes messages from nothing, without being asked."""
        return not self.inputs and not self.triggers

    @property
    def has_outputs(self) -> bool:
        """Whether anybody takes its messages."""
        return any(self.outputs.values())


def read_order(text: str) -> Order:
    """Return the order that a session has written; fields that are not known are left alone.

    Raises
    ------
    Alert
        It is no order.
    """
    try:
        told = json.loads(text)
        counters, control, key = told.get("counters"), told.get("control"), told.get("control_key")
        return Order(
            session=str(told["session"]),
            operator=str(told["operator"]),
            replica=int(told["replica"]),
            incarnation=int(told["incarnation"]),
            parameters=dict(told["parameters"]),
            triggers=dict(told["triggers"]),
            inputs=_read_ports(told["inputs"]),
            outputs=_read_ports(told["outputs"]),
            control=None if control is None else str(control),
            control_key=None if key is None else str(key),
            control_token=str(told.get("control_token", "")),
            counters=None if counters is None else Path(counters),
            data_directory=Path(told["data_directory"]),
            queue=int(told["queue"]),
            resolve_s=float(told.get("resolve_s", _RESOLVE_S)),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        what = f"lacks {error}" if isinstance(error, KeyError) else f"cannot be read: {error}"
        raise Alert(
            f"The variable {VARIABLE} {what}.", "A session writes it; without it, an operator runs alone."
        ) from error


def make_own_order(name: str, spec: OwnSpecification, environ: Mapping[str, str]) -> Order:
    """Return the order of an operator that is run by hand: values come from variables of its parameters' names.

    Raises
    ------
    Alert
        It cannot run alone, or a value is wrong.
    """
    if spec.inputs or spec.triggers:
        waits = "messages" if spec.inputs else "triggers"
        raise Alert(f"{name} waits for {waits}, and alone it gets none.", f"Say: runstart operator run {name}.")
    return Order(operator=name, parameters=spec.values(environ), outputs=dict.fromkeys(spec.outputs, ()))


def _read_ports(ports: Mapping[str, list[str]]) -> dict[str, tuple[str, ...]]:
    return {str(port): tuple(str(uri) for uri in uris) for port, uris in ports.items()}
