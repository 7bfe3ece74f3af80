"""Checks a cron expression of five fields, so that a mistake is told where it was written."""

from __future__ import annotations

import re

_FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day", 1, 31), ("month", 1, 12), ("weekday", 0, 7))
_PART = re.compile(r"(?:\*|(\d{1,2})(?:-(\d{1,2}))?)(?:/([1-9]\d?))?")


def explain_cron(expression: str) -> str:
    """Tell what is wrong with a cron expression.

    Parameters
    ----------
    expression : str
        Minute, hour, day, month and weekday: each `*`, numbers, ranges or steps, with commas between.

    Returns
    -------
    str
        A clause that begins with the offending part; empty if nothing is wrong.
    """
    fields = expression.split()
    if len(fields) != len(_FIELDS):
        return f"{expression!r} is not minute, hour, day, month and weekday, such as '0 14 * * *'"
    for text, (name, lowest, highest) in zip(fields, _FIELDS, strict=True):
        for part in text.split(","):
            match = _PART.fullmatch(part)
            numbers = [int(number) for number in match.groups()[:2] if number] if match else []
            if not match or numbers != sorted(numbers) or not all(lowest <= n <= highest for n in numbers):
                return f"{part!r} is no {name} of a cron expression: {lowest} to {highest}, or *"
    return ""
