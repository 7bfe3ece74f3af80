"""FITS files that a user names by a URI: nothing but what the deployment allows, which by default is nothing."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from runstart.errors import Alert, Transient
from runstart.fits.folder_source import locate_file
from runstart.fits.http_files import HttpClient
from runstart.fits.reference import FitsReference, without_secrets
from runstart.fits.source import FitsSource, Located
from runstart.storage import ObjectMissing, S3Store, make_s3_client

__all__ = ["UriSource"]

_PIECE_BYTES = 1024 * 1024


class UriSource(FitsSource):
    """Files by `file:`, `s3:`, `http:` and `https:` URIs below declared places.

    Parameters
    ----------
    folders : iterable of Path, optional
        Folders below which `file:` may read.
    prefixes : iterable of str, optional
        Beginnings of `file:`, `s3:` and `http(s):` URIs, such as `s3://bucket/nights/`; a prefix ends at a `/` of the
        URI.
    s3_client : botocore.client.S3, optional
        By default one made from the standard AWS environment variables when it is needed.
    tries, pause_s, timeout_s : optional
        As for `HttpClient`.
    """

    def __init__(
        self,
        folders: Iterable[Path | str] = (),
        prefixes: Iterable[str] = (),
        *,
        s3_client: Any = None,
        tries: int = 12,
        pause_s: float = 5.0,
        timeout_s: float = 60.0,
    ) -> None:
        self._prefixes = [_checked(prefix) for prefix in prefixes]
        files = [Path(unquote(urlsplit(prefix).path)) for prefix in self._prefixes if prefix.startswith("file:")]
        self._folders = [*map(Path, folders), *files]
        self._s3_client = s3_client
        self._http = HttpClient(tries, pause_s, timeout_s, allowed=self._check_allowed)

    def __repr__(self) -> str:
        return f"UriSource({[str(folder) for folder in self._folders]}, {self._prefixes})"

    def locate(self, reference: FitsReference) -> Located:  # noqa: D102 - as the base class says
        uri, parts = reference.uri, urlsplit(reference.uri)
        if parts.scheme == "file":
            return self._locate_file(reference)
        self._check_allowed(uri)
        if parts.scheme == "s3":
            with_etag = self._bucket(parts.netloc).size_and_etag(_s3_key(uri))
            if with_etag is None:
                raise Alert(f"There is no object {reference.name}.", "Look at the spelling.")
            return _located(uri, with_etag[1], with_etag[0])
        headers = self._http.head(uri)
        size = headers.get("content-length", "")
        named = [headers[name] for name in ("etag", "last-modified") if name in headers]
        # Without either the server does not tell old from new: each time it is fetched anew.
        version = " ".join([*named, size]) if named else secrets.token_hex(16)
        return _located(uri, version, int(size) if size.isdecimal() else None)

    def download(self, located: Located, path: Path) -> None:  # noqa: D102
        parts = urlsplit(located.address)
        if parts.scheme == "s3":
            self._bucket(parts.netloc).write_to(_s3_key(located.address), path)
        elif parts.scheme in ("http", "https"):
            self._http.download(located.address, path)
        else:
            path.write_bytes(Path(located.address).read_bytes())

    def local_path(self, located: Located) -> Path | None:  # noqa: D102
        return Path(located.address) if located.address.startswith("/") else None

    def reads_in_place(self, reference: FitsReference) -> bool:  # noqa: D102
        return reference.uri.startswith("file:")

    def _locate_file(self, reference: FitsReference) -> Located:
        parts = urlsplit(reference.uri)
        path = Path(unquote(parts.path))
        if parts.netloc not in ("", "localhost") or not path.is_absolute():
            raise Alert(f"{reference.name} is not a file of this machine.", "Write file:/ and the whole path.")
        for folder in self._folders:
            if path.is_relative_to(folder):
                return locate_file(f"file:{folder}", path, folder, reference.name)
        what = f"{reference.name} is in no folder that may be read."
        raise Alert(what, "Its folder can be allowed in RUNSTART_FITS_FOLDERS or RUNSTART_FITS_URIS.")

    def _check_allowed(self, uri: str) -> None:
        if not any(_is_below(uri, prefix) for prefix in self._prefixes):
            what = f"{without_secrets(uri)} is not below an address that may be read."
            raise Alert(what, "Its beginning can be allowed in RUNSTART_FITS_URIS.")

    def _bucket(self, name: str) -> _Bucket:
        if self._s3_client is None:
            self._s3_client = make_s3_client()
        return _Bucket(self._s3_client, name)


class _Bucket(S3Store):
    """An S3 bucket that is read in pieces."""

    def size_and_etag(self, key: str) -> tuple[int, str] | None:
        try:
            with self._told(key):
                answer = self._client.head_object(Bucket=self.bucket, Key=key)
        except ObjectMissing:
            return None
        return int(answer["ContentLength"]), str(answer["ETag"])

    def write_to(self, key: str, path: Path) -> None:
        try:
            with self._told(key), path.open("wb") as file:
                answer = self._client.get_object(Bucket=self.bucket, Key=key)
                for piece in answer["Body"].iter_chunks(_PIECE_BYTES):
                    file.write(piece)
                if file.tell() != answer["ContentLength"]:
                    raise Transient(f"s3://{self.bucket}/{key} was not sent whole.")
        except ObjectMissing:
            raise Alert(f"There is no object s3://{self.bucket}/{key}.", "Look at the spelling.") from None


def _located(uri: str, version: str, size: int | None) -> Located:
    folder, _, name = without_secrets(uri).rpartition("/")
    # Addresses that differ in their query alone are different files.
    mark = hashlib.sha256(uri.encode()).hexdigest()[:16]
    return Located(folder, name, f"{mark} {version}", size, address=uri)


def _s3_key(uri: str) -> str:
    return unquote(urlsplit(uri).path.removeprefix("/"))


def _checked(prefix: str) -> str:
    parts = urlsplit(prefix)
    is_place = parts.path.startswith("/") if parts.scheme == "file" else bool(parts.netloc)
    if parts.scheme not in ("file", "s3", "http", "https") or not is_place or set("@?#") & set(prefix):
        what = f"{without_secrets(prefix)!r} is not the beginning of a URI of FITS files."
        raise Alert(what, "RUNSTART_FITS_URIS takes file:/folder/, s3://bucket/prefix/ and http(s)://host/path/.")
    return prefix


def _is_below(uri: str, prefix: str) -> bool:
    """Tell whether an address begins with a prefix, at a slash, whatever its percent signs hide."""
    one, other = urlsplit(uri), urlsplit(prefix)
    if (one.scheme, one.netloc.lower()) != (other.scheme, other.netloc.lower()):
        return False
    path, folder = unquote(one.path), unquote(other.path).rstrip("/")
    if "\\" in path or not {".", ".."}.isdisjoint(path.split("/")):
        return False
    return path.startswith(f"{folder}/")
