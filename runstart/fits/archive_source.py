"""FITS files of an archive with the frames API: a query by basename, then a download from where it says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from runstart.errors import Alert
from runstart.fits.http_files import HttpClient
from runstart.fits.reference import FitsReference, check_basename, without_secrets
from runstart.fits.source import FitsSource, Located

__all__ = ["ArchiveSource"]

_MD5 = re.compile(r"[0-9a-f]{32}")


class ArchiveSource(FitsSource):
    """An archive of frames.

    Parameters
    ----------
    name : str
        The source's name.
    url : str
        Address of the API; `frames/` is below it.
    token : str, optional
        Sent to the API's server, and to no other; empty for what is public.
    tries : int, optional
        How often a request is made before the archive is given up.
    pause_s : float, optional
        Seconds between tries.
    timeout_s : float, optional
        Seconds without any byte after which a try has failed.
    """

    def __init__(
        self,
        name: str,
        url: str,
        token: str = "",
        *,
        tries: int = 12,
        pause_s: float = 5.0,
        timeout_s: float = 60.0,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.netloc or "@" in parts.netloc:
            what = f"{without_secrets(url)!r} is not the address of an archive."
            raise Alert(what, "Set RUNSTART_ARCHIVE_API to http:// or https://, host and path.")
        if token and not (token.isascii() and token.isprintable() and " " not in token):
            raise Alert("The archive's token cannot be sent.", "It is one word of printable ASCII characters.")
        self.name = name
        self.url = url.rstrip("/")
        self._http = HttpClient(tries, pause_s, timeout_s, token, self.url)

    def __repr__(self) -> str:
        return f"ArchiveSource({self.name!r}, {without_secrets(self.url)!r})"

    def locate(self, reference: FitsReference) -> Located:  # noqa: D102 - as the base class says
        basename = check_basename(reference.basename, folders=False)
        answer = self._http.get_json(f"{self.url}/frames/", {"basename_exact": basename})
        results = answer.get("results") if isinstance(answer, dict) else None
        if not isinstance(results, list):
            remedy = "Look at RUNSTART_ARCHIVE_API: frames/ of the API must be below it."
            raise Alert(f"{without_secrets(self.url)} does not speak the archive's API.", remedy)
        if not results:
            what = f"The archive has no file {reference.name}."
            raise Alert(what, "Look at the spelling, or set the token of a user who may read it.")
        frame = results[0] if isinstance(results[0], dict) else {}
        url = frame.get("url")
        if not isinstance(url, str) or urlsplit(url).scheme not in ("http", "https"):
            raise Alert(f"The archive does not say where {reference.name} is.", "Tell the people of the archive.")
        version, md5 = _version(frame)
        return Located(self.name, basename, version or without_secrets(url), address=url, md5=md5)

    def download(self, located: Located, path: Path) -> None:  # noqa: D102
        self._http.download(located.address, path, located.md5)


def _version(frame: dict[str, Any]) -> tuple[str, str]:
    """Return the newest version's name, and its MD5 if that is told."""
    versions = frame.get("version_set")
    newest = versions[0] if isinstance(versions, list) and versions and isinstance(versions[0], dict) else {}
    told = str(newest.get("md5") or "")
    for name in ("md5", "key", "id"):
        if newest.get(name):
            return f"{name}:{newest[name]}", told if _MD5.fullmatch(told) else ""
    return "", ""
