"""Parts of a result: HTTP's header Range, of one range of bytes; several at once are answered with the whole."""

from __future__ import annotations

import re

from gateway.errors import Refusal

__all__ = ["content_disposition", "parse_range"]

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.IGNORECASE | re.ASCII)


def parse_range(header: str, size: int) -> tuple[int, int] | None:
    """Return the first byte and the one after the last, or None for the whole.

    Parameters
    ----------
    header : str
        The header; what is not of its form is passed over, as HTTP asks for.
    size : int
        Bytes of the whole.

    Raises
    ------
    Refusal
        416: no byte of it is there.
    """
    match = _RANGE.fullmatch(header.replace(" ", ""))
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if not first:
        start, stop = max(0, size - int(last)), size
    else:
        start, stop = int(first), size if not last else min(size, int(last) + 1)
        if last and int(last) < start:
            return None
    if start >= size:
        text = f"The range is not within the result of {size} bytes."
        raise Refusal(416, text, {"Content-Range": f"bytes */{size}"})
    return start, stop


def content_disposition(filename: str) -> str:
    """Return the header that makes a browser keep a file under a name.

    Parameters
    ----------
    filename : str
        The name, without folders.
    """
    from urllib.parse import quote

    plain = re.sub(r"[^A-Za-z0-9._ -]", "_", filename)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, safe='')}"
