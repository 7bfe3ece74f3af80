"""Sizes as people write them: bytes, or with a unit of powers of 1000 (MB) or 1024 (MiB)."""

from __future__ import annotations

import re

from runstart.errors import Alert

_SIZE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,15})?)\s*(?:([KMGT])(I?))?B?", re.IGNORECASE)
_POWERS = " KMGT"


def parse_size(text: str, name: str) -> int:
    """Return a size in bytes.

    Parameters
    ----------
    text : str
        Such as `2000000`, `500MB` or `2GiB`.
    name : str
        Variable or option that it comes from, for the message.

    Raises
    ------
    Alert
        If it is no size.
    """
    size = _SIZE.fullmatch(text.strip())
    if size is None:
        raise Alert(f"{name} is {text[:80]!r}, which is no size.", "Give bytes, or a number such as 500MB or 2GiB.")
    base = 1024 if size[3] else 1000
    return int(float(size[1]) * base ** _POWERS.index((size[2] or " ").upper()))
