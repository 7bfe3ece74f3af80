"""The live page: one page, its style and its modules, as they lie in `gateway/static`; no build, nothing from elsewhere.

What the page may do is in the header of each of its files: scripts and styles of this gateway only, none of them inline,
pictures of this gateway, and no frame around it.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from fastapi import Path as InPath
from pydantic import BaseModel, Field

from gateway.context import TheGateway, open_route
from gateway.errors import Refusal, answers

FOLDER = Path(__file__).resolve().parent.parent / "static"
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob:",
        "connect-src 'self'",
        "manifest-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
    )
)
_MEDIA = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_FILES: dict[int | str, dict[str, Any]] = {
    200: {"content": {"*/*": {"schema": {"type": "string"}}}, "description": "The file."},
    304: {"description": "The browser has this version already."},
}

FileName = Annotated[str, InPath(pattern=r"^[a-z][a-z0-9_]{0,40}\.[a-z]{2,4}$", examples=["main.js"])]

router = APIRouter(tags=["service"])


class PageSettings(BaseModel):
    """What the live page must know before it asks for anything."""

    needs_token: bool = Field(description="Whether reading needs a token.")
    dagster_url: str = Field("", description="Dagster's pages, as browsers reach them; empty if they do not.")


@router.get("/page/settings", responses=answers(), summary="What the live page must know first")
@open_route("says what everybody may know")
async def show_page_settings(gateway: TheGateway) -> PageSettings:
    """Tell whether reading needs a token."""
    settings = gateway.settings
    return PageSettings(needs_token=not settings.open_reading, dagster_url=settings.dagster_page_url)


@router.get(
    "/page/{name}",
    responses={**_FILES, **answers(400, 404)},
    response_class=Response,
    summary="A file of the live page",
)
@open_route("holds no data")
def show_page_file(request: Request, name: FileName) -> Response:
    """Give a style or a module of the live page."""
    return page_file(name, request.headers.get("if-none-match", ""))


def page_file(name: str, known: str = "") -> Response:
    """Return a file of the live page.

    Parameters
    ----------
    name : str
        Of the file.
    known : str, optional
        The header If-None-Match.

    Raises
    ------
    Refusal
        404, if there is none.
    """
    found = _files().get(name)
    if found is None:
        raise Refusal(404, "The live page has no such file.")
    data, etag = found
    headers = {
        "Cache-Control": "no-cache",
        "Content-Security-Policy": POLICY,
        "Cross-Origin-Opener-Policy": "same-origin",
        "ETag": etag,
        "Vary": "Accept",
        "X-Frame-Options": "DENY",
    }
    if etag in known:
        return Response(status_code=304, headers=headers)
    return Response(data, media_type=_MEDIA[Path(name).suffix], headers=headers)


@cache
def _files() -> dict[str, tuple[bytes, str]]:
    """Return the content and etag of every file of the page, by name: nothing else is ever given."""
    files = (path for path in sorted(FOLDER.iterdir()) if path.suffix in _MEDIA)
    contents = {path.name: path.read_bytes() for path in files}
    return {name: (data, f'"{hashlib.sha256(data).hexdigest()[:32]}"') for name, data in contents.items()}
