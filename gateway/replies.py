"""Answers that carry an object of the store as it is: a browser that has it already is told so, and JSON is compressed."""

from __future__ import annotations

import gzip
import hashlib
import re
from typing import TYPE_CHECKING, Any

from fastapi import Request, Response

if TYPE_CHECKING:
    from runstart.storage import StoredObject

__all__ = ["answer_object", "pictures"]

JSON = "application/json"
_LEVEL = 4  # the views of a run in 2 ms
_TAKES_GZIP = re.compile(r"(?:^|,)\s*gzip\s*(?:;\s*q=(?:1|0\.\d*[1-9])[\d.]*\s*)?(?:,|$)", re.IGNORECASE)
# What comes from a script or a file is shown as a picture and as nothing else.
_HEADERS = {
    "Cache-Control": "private, no-cache",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "X-Content-Type-Options": "nosniff",
}


def answer_object(request: Request, stored: StoredObject, media_type: str) -> Response:
    """Return an object of the store, or 304 if the browser has this version.

    Parameters
    ----------
    request : Request
        May say by If-None-Match what the browser has, and by Accept-Encoding that it takes gzip.
    stored : StoredObject
        The object.
    media_type : str
        What it is.
    """
    is_packed = media_type == JSON and _TAKES_GZIP.search(request.headers.get("accept-encoding", "")) is not None
    etag = f'"{hashlib.sha256(stored.etag.encode()).hexdigest()[:32]}{"-gzip" if is_packed else ""}"'
    headers = {**_HEADERS, "ETag": etag}
    if media_type == JSON:
        headers["Vary"] = "Accept-Encoding"
    if etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    if not is_packed:
        return Response(stored.data, media_type=media_type, headers=headers)
    packed = gzip.compress(stored.data, _LEVEL, mtime=0)
    return Response(packed, media_type=media_type, headers={**headers, "Content-Encoding": "gzip"})


def pictures(media_type: str) -> dict[int | str, dict[str, Any]]:
    """Return what OpenAPI is told of a route that answers pictures."""
    return {
        200: {
            "content": {media_type: {"schema": {"type": "string", "format": "binary"}}},
            "description": "A picture.",
        },
        304: {"description": "The browser has this version already."},
    }
