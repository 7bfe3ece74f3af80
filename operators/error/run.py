"""Passes messages on, and fails at some of them: to see what becomes of errors."""

from __future__ import annotations

import random
from typing import Any

from runstart.operators import BytesMessage, operator

_numbers: dict[int, random.Random] = {}


@operator
def error(inputs: BytesMessage | None, parameters: dict[str, Any]) -> BytesMessage | None:
    """Return a message, or raise."""
    if inputs is None:
        return None
    seed = parameters["seed"]
    if _numbers.setdefault(seed, random.Random(seed)).random() < parameters["failure_rate"]:  # noqa: S311 - no secret
        raise RuntimeError("This error was asked for: failure_rate says how often.")
    return BytesMessage(inputs.header, inputs.data)
