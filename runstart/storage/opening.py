"""An object store is named by a URL: `file:` and a folder, or `s3://bucket/prefix`; RUNSTART_OBJECT_STORE says which."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runstart.errors import Alert
from runstart.storage.file_store import FileStore
from runstart.storage.object_store import ObjectStore, is_key
from runstart.storage.s3_store import S3Store


def store_url(environ: Mapping[str, str]) -> str:
    """Return the URL of the object store that the environment asks for.

    Parameters
    ----------
    environ : mapping of str to str
        `RUNSTART_OBJECT_STORE`; without it, `file:` under `.runstart/store` in the current directory.
    """
    return environ.get("RUNSTART_OBJECT_STORE") or f"file:{Path('.runstart/store').absolute()}"


def open_store(url: str, s3_client: Any = None) -> ObjectStore:
    """Return the object store that a URL names; nothing is read or made yet.

    Parameters
    ----------
    url : str
        `file:/absolute/folder`, `file:relative/folder` (from the current directory) or `s3://bucket/prefix`.
    s3_client : botocore.client.S3, optional
        Client for an `s3:` URL; by default one made from the standard AWS environment variables.

    Returns
    -------
    ObjectStore
        A `FileStore` or an `S3Store`.

    Raises
    ------
    Alert
        If the URL is of another kind or names nothing.
    """
    scheme, _, rest = url.partition(":")
    if scheme == "file":
        folder = rest.removeprefix("//") if rest.startswith("///") else rest
        if folder and not folder.startswith("//"):
            return FileStore(Path(folder).absolute())
    if scheme == "s3" and rest.startswith("//"):
        bucket, _, prefix = rest.removeprefix("//").partition("/")
        if bucket and (not prefix.strip("/") or is_key(prefix.strip("/"))):
            return S3Store(make_s3_client() if s3_client is None else s3_client, bucket, prefix.strip("/"))
    raise Alert(
        f"{url!r} does not name an object store.",
        "Use file:/absolute/folder, file:relative/folder or s3://bucket/prefix.",
    )


def make_s3_client(**options: Any) -> Any:
    """Return an S3 client as the standard AWS environment says now.

    Parameters
    ----------
    **options
        As `boto3.client` takes them.
    """
    import boto3

    # A session of its own: boto3's default one keeps the credentials of the first client for ever.
    return boto3.session.Session().client("s3", **options)
