"""How much memory a pod gets that is started again because it ran out of it: twice as much each time, within limits."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

MOST_DOUBLINGS = 2
"""A pod gets up to four times the memory that it asked for first."""

_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]*)?)(?:[eE]([0-9]+))?([a-zA-Z]*)", re.ASCII)
_UNITS = {"n": 1e-9, "u": 1e-6, "m": 1e-3, "": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18}
_UNITS |= {f"{letter}i": 1024.0**power for power, letter in enumerate("KMGTPE", start=1)}
_MIB = 2**20


def parse_quantity(text: str) -> float:
    """Return a quantity of Kubernetes, such as `2304Mi`, `1e9` or `1500m`, as a number.

    Parameters
    ----------
    text : str
        The quantity.

    Raises
    ------
    ValueError
        If it is none.
    """
    found = _QUANTITY.fullmatch(text.strip())
    if found is None or found[3] not in _UNITS:
        raise ValueError(f"{text!r} is no quantity of Kubernetes")
    return float(found[1]) * 10.0 ** int(found[2] or 0) * _UNITS[found[3]]


def double_memory(
    resources: Mapping[str, Any], doublings: int, most_bytes: float = math.inf
) -> dict[str, Any] | None:
    """Return a container's resources with twice the memory, or None if it may not get more.

    Parameters
    ----------
    resources : mapping
        `limits` and `requests` of a container, as Kubernetes has them.
    doublings : int
        How often its memory has been doubled before.
    most_bytes : float, optional
        Most that any pod gets, in bytes.

    Returns
    -------
    dict or None
        `limits` and `requests` with the same CPU; None too if there was no limit that could be raised.
    """
    limit = (resources.get("limits") or {}).get("memory")
    if limit is None or doublings >= MOST_DOUBLINGS:
        return None
    before = parse_quantity(str(limit))
    after = min(2 * before, most_bytes)
    if after <= before:
        return None
    requested = (resources.get("requests") or {}).get("memory", limit)
    factor = after / before
    return {
        "limits": {**(resources.get("limits") or {}), "memory": quantity(after)},
        "requests": {
            **(resources.get("requests") or {}),
            "memory": quantity(parse_quantity(str(requested)) * factor),
        },
    }


def quantity(size: float) -> str:
    """Return bytes as Kubernetes writes them, rounded up to MiB."""
    return f"{math.ceil(size / _MIB)}Mi"
