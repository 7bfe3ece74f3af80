"""The cards of a FITS header as they stand in the file, and the values in them (FITS standard 4.0, section 4).

Values are parsed when they are asked for: headers have hundreds, and a reader of structure wants a dozen.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import BinaryIO

from runstart.fits.file_errors import malformed, truncated

__all__ = ["BLOCK", "Cards", "integer", "is_true", "optional_integer", "read_cards", "real", "text"]

BLOCK = 2880
"""Bytes of a block; headers and data begin with a new one."""

Cards = Mapping[str, str]

_CARD = 80
_MOST_BLOCKS = 20_000
_TEXT = re.compile(r"\s*'((?:[^']|'')*)'")
_INTEGER = re.compile(r"\s*([+-]?[0-9]+)\s*(?:/.*)?")
_REAL = re.compile(r"\s*([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[EDed][+-]?[0-9]+)?)\s*(?:/.*)?")


def read_cards(file: BinaryIO, block: bytes, offset: int, label: str) -> tuple[dict[str, str], int]:
    """Return the values of a header's cards, as they stand there, and where the header ends.

    Parameters
    ----------
    file : binary file
        Stands behind the first block.
    block : bytes
        The header's first block.
    offset : int
        Where it begins.
    label : str
        The file's name in messages.

    Raises
    ------
    Alert
        The header has no end.
    """
    cards: dict[str, str] = {}
    for n_blocks in range(1, _MOST_BLOCKS):
        if len(block) < BLOCK:
            raise truncated(label, f"the header at byte {offset} has no end")
        for start in range(0, BLOCK, _CARD):
            card = block[start : start + _CARD]
            if card[:8] == b"END     ":
                return cards, offset + n_blocks * BLOCK
            if card[8:10] == b"= ":
                cards.setdefault(card[:8].rstrip().decode("latin-1"), card[10:].decode("latin-1"))
        block = file.read(BLOCK)
    raise malformed(label, f"the header at byte {offset} is longer than {_MOST_BLOCKS} blocks")


def integer(cards: Cards, key: str, label: str, default: int | None = None) -> int:
    """Return the integer in a card; an alert if it is no integer, or missing without a default."""
    if key not in cards and default is not None:
        return default
    value = optional_integer(cards, key)
    if value is None:
        raise malformed(label, _told(cards, key))
    return value


def optional_integer(cards: Cards, key: str) -> int | None:
    """Return the integer in a card; None if there is none."""
    match = _INTEGER.fullmatch(cards.get(key, ""))
    return int(match[1]) if match else None


def real(cards: Cards, key: str, label: str, default: float) -> float:
    """Return the finite number in a card; an alert if it is none."""
    if key not in cards:
        return default
    match = _REAL.fullmatch(cards[key])
    value = float(match[1].upper().replace("D", "E")) if match else math.nan
    if not math.isfinite(value):
        raise malformed(label, _told(cards, key))
    return value


def text(cards: Cards, key: str) -> str:
    """Return the text in a card; empty if there is none."""
    match = _TEXT.match(cards.get(key, ""))
    return match[1].replace("''", "'").strip() if match else ""


def is_true(cards: Cards, key: str) -> bool:
    """Tell whether a card says T."""
    return cards.get(key, "").strip()[:1] == "T"


def _told(cards: Cards, key: str) -> str:
    return f"{key} is {cards[key].strip()[:30]!a}" if key in cards else f"{key} is missing"
