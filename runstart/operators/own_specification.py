"""The little of an operator.json that its own process needs when nobody has told it what to do: parameters and triggers.

A session checks values with all of their rules before it starts an operator; here texts of the environment are read as
their parameters' types.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runstart.errors import Alert

_TRUTHS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


@dataclass(frozen=True)
class OwnSpecification:
    """What is used of an operator.json.

    Attributes
    ----------
    inputs, outputs : tuple of str
        Names of its ports.
    parameters : dict of str to dict
        Its parameters by name.
    triggers : dict of str to str
        The modes of its triggers by name.
    """

    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    parameters: dict[str, dict[str, Any]] = field(default_factory=dict)
    triggers: dict[str, str] = field(default_factory=dict)

    def values(self, given: Mapping[str, str]) -> dict[str, Any]:
        """Return the value of every parameter: the one that is given as a text, or its default.

        Raises
        ------
        Alert
            A text is no value of its parameter; it names it.
        """
        return {
            name: _read_value(name, str(parameter.get("type")), given.get(name, parameter.get("default")))
            for name, parameter in self.parameters.items()
        }

    def mounts(self, values: Mapping[str, Any]) -> dict[str, str]:
        """Return the paths of the mount parameters."""
        return {
            name: str(values.get(name) or "")
            for name, parameter in self.parameters.items()
            if parameter.get("type") == "mount"
        }


def read_own_specification(run_py: Path) -> OwnSpecification:
    """Return what the operator.json beside a run.py says; nothing if there is none.

    Raises
    ------
    Alert
        It cannot be read.
    """
    path = run_py.parent / "operator.json"
    if not path.exists():
        return OwnSpecification()
    try:
        fields = json.loads(path.read_bytes())
        return OwnSpecification(
            inputs=tuple(port["name"] for port in fields.get("inputs") or ()),
            outputs=tuple(port["name"] for port in fields.get("outputs") or ()),
            parameters={one["name"]: one for one in fields.get("parameters") or ()},
            triggers={one["name"]: one.get("mode") or "single" for one in fields.get("triggers") or ()},
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise Alert(f"{path} cannot be read: {error!r}.", "Say: runstart operator validate.") from error


def _read_value(name: str, kind: str, value: Any) -> Any:
    try:
        match kind:
            case "int":
                return value if isinstance(value, int) else int(value)
            case "float":
                return float(value)
            case "bool":
                return value if isinstance(value, bool) else _TRUTHS[str(value).strip().lower()]
            case _:
                return value
    except (ValueError, TypeError, KeyError):
        raise Alert(f"The parameter {name} is {value!r}, and this is no {kind}.", "Correct it.") from None
