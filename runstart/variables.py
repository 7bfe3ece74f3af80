"""Numbers that variables of the environment give."""

from __future__ import annotations

import math
from collections.abc import Mapping

from runstart.errors import Alert


def read_number(
    environ: Mapping[str, str], variable: str, remedy: str, *, least: float | None = None
) -> float | None:
    """Return the number that a variable gives; None if it is empty.

    Parameters
    ----------
    environ : mapping of str to str
        Usually `os.environ`.
    variable : str
        Its name.
    remedy : str
        What to give, for the error: a sentence.
    least : float, optional
        Smallest that is accepted; by default any above 0 is.

    Raises
    ------
    Alert
        If it is no such number.
    """
    text = environ.get(variable)
    if not text:
        return None
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not (0 < number < math.inf) or (least is not None and number < least):
        raise Alert(f"{variable} is {text[:80]!r}, which is not what it should be.", remedy)
    return number
