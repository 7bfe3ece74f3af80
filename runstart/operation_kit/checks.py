"""Checks of single values that the kinds of input share; each alert names the input, the value and the rule."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from runstart.errors import Alert

_LARGEST_FLOAT = sys.float_info.max
_LARGEST_INTEGER = 2**63 - 1
_LONGEST_SHOWN = 80  # characters of a value in a message


def shown(value: Any) -> str:
    """Return a value as messages show it: short, whatever came."""
    if isinstance(value, int) and abs(value) > _LARGEST_INTEGER:
        return f"a number of {value.bit_length()} bits"
    if isinstance(value, (list, tuple)):
        return f"a list of {len(value):,}" if len(value) > 5 else f"[{', '.join(map(shown, value))}]"
    text = repr(value if not isinstance(value, str) else value[: _LONGEST_SHOWN + 1])
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."


def check_list(key: str, value: Any, minimum: int, maximum: int, what: str) -> list[Any]:
    """Return a list that has as many items as it must."""
    if not isinstance(value, (list, tuple)):
        raise Alert(f"{key} is {shown(value)}, which is no list.", f"Give a list of {what}.")
    if len(value) < minimum:
        raise Alert(f"{key} has {len(value)} {what}; it needs at least {minimum}.", "Add some.")
    if len(value) > maximum:
        raise Alert(f"{key} has {len(value):,} {what}; it takes at most {maximum}.", "Leave some out.")
    return list(value)


def check_number(key: str, value: Any, minimum: float | None = None, maximum: float | None = None) -> float:
    """Return a finite number between bounds."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not -_LARGEST_FLOAT <= value <= _LARGEST_FLOAT:
        raise Alert(f"{key} is {shown(value)}, which is no finite number.", "Give a number.")
    _check_bounds(key, value, minimum, maximum)
    return float(value) + 0.0  # -0.0 and 0.0 are one value, and have one key


def check_integer(key: str, value: Any, minimum: int | None = None, maximum: int | None = None) -> int:
    """Return a whole number of 64 bits between bounds."""
    integral = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    if isinstance(value, bool) or not integral:
        raise Alert(f"{key} is {shown(value)}, which is no whole number.", "Give a whole number.")
    if abs(value) > _LARGEST_INTEGER:
        raise Alert(f"{key} is {shown(value)}, which has more than 64 bits.", "Choose a smaller number.")
    _check_bounds(key, int(value), minimum, maximum)
    return int(value)


def check_position(key: str, value: Any, known: set[str]) -> dict[str, float]:
    """Return right ascension and declination in degrees of a mapping that has no fields but the known ones."""
    if not isinstance(value, Mapping) or not {"ra", "dec"} <= set(value):
        raise Alert(f"{key} is {shown(value)}, which is no position.", "Give ra and dec in degrees.")
    for field in value:
        if field not in known:
            raise Alert(f"{key} has the unknown field {shown(field)}.", f"It takes {', '.join(sorted(known))}.")
    return {
        "ra": check_number(f"{key}.ra", value["ra"], -360, 360),
        "dec": check_number(f"{key}.dec", value["dec"], -90, 90),
    }


def position_schema(more: Mapping[str, Any]) -> dict[str, Any]:
    """Return JSON Schema of a position with further fields."""
    return {
        "type": "object",
        "properties": {
            "ra": {"type": "number", "description": "Right ascension in degrees", "minimum": -360, "maximum": 360},
            "dec": {"type": "number", "description": "Declination in degrees", "minimum": -90, "maximum": 90},
            **more,
        },
        "required": ["ra", "dec"],
        "additionalProperties": False,
    }


def bounds(minimum: float | None, maximum: float | None) -> dict[str, Any]:
    """Return the bounds that there are."""
    pairs = (("minimum", minimum), ("maximum", maximum))
    return {name: bound for name, bound in pairs if bound is not None}


def _check_bounds(key: str, value: float, minimum: float | None, maximum: float | None) -> None:
    if minimum is not None and value < minimum:
        raise Alert(f"{key} is {value}; the smallest is {minimum}.", "Choose a larger number.")
    if maximum is not None and value > maximum:
        raise Alert(f"{key} is {value}; the largest is {maximum}.", "Choose a smaller number.")
