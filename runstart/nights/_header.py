"""Headers of a FITS file, wherever it lies, of which only a few blocks are read: above all when an exposure began.

The first HDU whose header has one of the keywords counts (FITS standard 4.0, sections 3 and 4). A date without a time
needs TIME-OBS, UTSTART or UT beside it, since half of a night has the date of the morning. Whatever cannot be read is
no time: the file is judged elsewhere.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

Read = Callable[[int, int], bytes]
"""Returns at most so many bytes from an offset on."""

Value = str | float

_BLOCK, _CARD = 2880, 80
_CHUNK = 10 * _BLOCK
_LONGEST_HEADER = 400 * _BLOCK
_MOST_HDUS = 16
_STRING = re.compile(r"\s*'((?:[^']|'')*)'")
_NUMBER = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[EeDd][+-]?\d{1,3})?)\s*(?:/|$)", re.ASCII)
_DATE = re.compile(r"((?:1[89]|20|21)\d\d)-(\d\d)-(\d\d)(?:[T ](.+?))?Z?", re.ASCII)
_TIME = re.compile(r"(\d\d?):(\d\d)(?::(\d\d(?:\.\d*)?))?", re.ASCII)
_TIMES = ("TIME-OBS", "UTSTART", "UT")
_JULIAN = {"MJD": datetime(1858, 11, 17, tzinfo=UTC), "JD": datetime(1858, 11, 16, 12, tzinfo=UTC)}
_JD_OF_ORIGIN = 2_400_000.0


def find_time(read: Read, keywords: Iterable[str]) -> datetime | None:
    """Return when an exposure began.

    Parameters
    ----------
    read : callable
        Reads the file.
    keywords : iterable of str
        Of the time, the first that is there counts: a date with time in UTC, or a number of days if the keyword
        begins with MJD or JD.

    Returns
    -------
    datetime or None
        In UTC; None if no header says it, or what it says is not a time.
    """
    keywords = tuple(keyword.upper() for keyword in keywords)
    offset = 0
    for _ in range(_MOST_HDUS):
        cards, offset = _read_header(read, offset)
        if cards is None:
            return None
        for keyword in keywords:
            if keyword in cards:
                return _parse(keyword, cards)
        offset += _data_size(cards)
    return None


def read_primary(path: Path) -> Mapping[str, Value]:
    """Return the text and numbers of a file's primary header by keyword; empty if there is none."""
    with path.open("rb") as file:
        cards, _ = _read_header(reader(file), 0)
    return cards or {}


def reader(file: BinaryIO) -> Read:
    """Return a function that reads a part of an open file."""

    def read(offset: int, length: int) -> bytes:
        file.seek(offset)
        return file.read(length)

    return read


def _read_header(read: Read, offset: int) -> tuple[Mapping[str, Value] | None, int]:
    """Return a header's cards and where its data begins; None if there is no whole header."""
    cards: dict[str, Value] = {}
    begin, chunk = offset, b""
    for start in range(offset, offset + _LONGEST_HEADER, _CARD):
        if start + _CARD > begin + len(chunk):
            begin, chunk = start, read(start, _CHUNK)
        card = chunk[start - begin : start - begin + _CARD]
        if len(card) < _CARD or (start == offset and not card.startswith((b"SIMPLE  =", b"XTENSION="))):
            return None, offset
        if card.rstrip() == b"END":
            blocks = math.ceil((start + _CARD - offset) / _BLOCK)
            return cards, offset + blocks * _BLOCK
        if card[8:10] == b"= ":
            value = _value(card[10:].decode("latin-1"))
            if value is not None:
                cards.setdefault(card[:8].decode("latin-1").rstrip(), value)
    return None, offset


def _value(text: str) -> Value | None:
    string = _STRING.match(text)
    if string:
        return string[1].replace("''", "'").rstrip()
    number = _NUMBER.match(text)
    return float(number[1].upper().replace("D", "E")) if number else None


def _data_size(cards: Mapping[str, Value]) -> int:
    """Return the bytes of an HDU's data with their padding (FITS standard 4.0, equations 1 and 2)."""

    def whole(keyword: str, default: int) -> int:
        value = cards.get(keyword, default)
        return int(value) if isinstance(value, (int, float)) and 0 <= abs(value) < 2**53 else default

    axes = [whole(f"NAXIS{axis}", 0) for axis in range(1, min(whole("NAXIS", 0), 999) + 1)]
    if not axes:
        return 0
    if axes[0] == 0 and cards.get("GROUPS") is not None:
        axes = axes[1:]
    elements = whole("GCOUNT", 1) * (whole("PCOUNT", 0) + math.prod(axes))
    size = max(abs(whole("BITPIX", 8)) * elements // 8, 0)
    return math.ceil(size / _BLOCK) * _BLOCK if size < 2**53 else 2**53


def _parse(keyword: str, cards: Mapping[str, Value]) -> datetime | None:
    value = cards[keyword]
    if isinstance(value, str):
        times = (cards[name] for name in _TIMES if name in cards)
        return _parse_date(value.strip(), next(times, None))
    unit = "MJD" if keyword.startswith("MJD") else "JD" if keyword.startswith("JD") else ""
    days = value - _JD_OF_ORIGIN if unit == "JD" else value
    if not unit or not 0 <= days < 200_000:
        return None
    return _JULIAN[unit] + timedelta(days=days)


def _parse_date(text: str, beside: Value | None) -> datetime | None:
    date = _DATE.fullmatch(text)
    clock = (date[4] or beside) if date else None
    time = _TIME.fullmatch(clock.strip()) if isinstance(clock, str) else None
    if not date or not time:
        return None
    hours, minutes, seconds = int(time[1]), int(time[2]), float(time[3] or 0)
    # A leap second is the first second of the next minute.
    if hours > 23 or minutes > 59 or seconds >= 61:
        return None
    try:
        day = datetime(int(date[1]), int(date[2]), int(date[3]), tzinfo=UTC)
    except ValueError:
        return None
    return day + timedelta(hours=hours, minutes=minutes, seconds=seconds)
