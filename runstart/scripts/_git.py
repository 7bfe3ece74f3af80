"""Fetches a script from a git repository at a branch, a tag or a commit, without a git program and into memory.

Only the newest commit is fetched, and that only when the ref has moved: the last few texts are remembered by
commit, which cannot change. Servers that can leave out what is longer than a script; of others a bounded number of
bytes is taken.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import PurePosixPath
from tempfile import SpooledTemporaryFile
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit, urlunsplit

from runstart.errors import Alert, Transient
from runstart.scripts.sources import MOST_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dulwich.client import DetermineWantsFunc, GitClient
    from dulwich.object_store import MemoryObjectStore
    from dulwich.objects import ObjectID
    from dulwich.refs import Ref
    from dulwich.repo import MemoryRepo

_COMMIT = re.compile(r"[0-9a-f]{40}")
_TIMEOUT_S = 20.0
_MOST_PACK_BYTES = 50_000_000
_FILTER = b"blob:limit=%d" % (MOST_BYTES + 1)  # leaves out what has so many bytes or more
_SSH = "ssh -o BatchMode=yes -o ConnectTimeout=10 -o ServerAliveInterval=10 -o ServerAliveCountMax=2"
_GOOD_REF = "Give a branch, a tag or a full commit id as ref."
_USER = "oauth2"  # with a token as password, servers take any name


def fetch_from_git(address: str, ref: str, file: str, token: str | None) -> tuple[bytes, str]:
    """Return the text and where it came from.

    Parameters
    ----------
    address : str
        https://, http://, ssh://, git://, file:// or a path.
    ref : str
        Branch, tag or full commit id.
    file : str
        Path in the repository.
    token : str or None
        Sent as password over HTTP.

    Raises
    ------
    Alert
        No such repository, ref or file; or not allowed.
    Transient
        The server does not answer.
    """
    from dulwich.client import HTTPUnauthorized
    from dulwich.errors import GitProtocolError, HangupException, NotGitRepository
    from urllib3.exceptions import HTTPError

    shown = _without_secrets(address)
    try:
        client, path = _connect(address, token)
        commit = _resolve(client, path, ref, shown)
        text = _text_of(_Source(address, path, client), commit, file, shown)
    except HTTPUnauthorized:
        raise Alert(f"{shown} refuses access.", "Set token_variable to a variable with a valid token.") from None
    except NotGitRepository:
        raise Alert(f"There is no git repository {shown}.", "Mend the address, or give access to it.") from None
    except (GitProtocolError, HangupException, HTTPError, OSError) as problem:
        # Their texts hold the address, and with it whatever secret somebody wrote into it.
        raise Transient(f"{shown} does not answer as a git server: {type(problem).__name__}") from None
    return text, f"{shown} {ref} ({commit[:10]}) {file}"


class _Source:
    """A connection to a repository; equal for the same address, so that texts are remembered by it."""

    def __init__(self, address: str, path: str, client: GitClient) -> None:
        self.address, self.path, self.client = address, path, client

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Source) and self.address == other.address

    def __hash__(self) -> int:
        return hash(self.address)


def _connect(address: str, token: str | None) -> tuple[GitClient, str]:
    from dulwich.client import HttpGitClient, get_transport_and_path
    from dulwich.config import ConfigDict

    # An empty configuration: the user's own could name helpers and other servers.
    config = ConfigDict()
    parts = urlsplit(address)
    if parts.scheme in ("http", "https"):
        user = parts.username or (_USER if token is not None else None)
        password = token if token is not None else parts.password
        host = f"{parts.hostname}:{parts.port}" if parts.port else parts.hostname or ""
        base = urlunsplit((parts.scheme, host, "/", "", ""))
        client = HttpGitClient(
            base, config=config, username=user, password=password, timeout=_TIMEOUT_S, quiet=True
        )
        return client, parts.path
    return get_transport_and_path(address, config=config, ssh_command=_SSH, quiet=True)


def _resolve(client: GitClient, path: str, ref: str, shown: str) -> str:
    """Return the commit, or the annotated tag, that a ref names now."""
    if _COMMIT.fullmatch(ref):
        return ref
    refs: dict[Any, Any] = dict(client.get_refs(path.encode()).refs)
    for name in (f"refs/heads/{ref}", f"refs/tags/{ref}", ref):
        if found := refs.get(name.encode()):
            return str(found.decode())
    raise Alert(f"{shown} has no branch or tag {ref!r}.", _GOOD_REF)


@lru_cache(maxsize=64)
def _text_of(source: _Source, commit: str, file: str, shown: str) -> bytes:
    """Return a file of a commit; remembered, since it cannot change."""
    from dulwich.errors import GitProtocolError
    from dulwich.objects import S_ISGITLINK, Blob, Commit, ShaFile, Tag, Tree
    from dulwich.repo import MemoryRepo

    wanted = cast("ObjectID", commit.encode())

    def want(refs: Mapping[Ref, ObjectID], depth: int | None = None) -> list[ObjectID]:  # noqa: ARG001 - its protocol
        return [wanted]

    repository = MemoryRepo()
    try:
        try:
            _fetch_pack(source, repository, want, shown)
        except (KeyError, GitProtocolError) as problem:
            if not isinstance(problem, KeyError) and "not our ref" not in str(problem):
                raise
            raise Alert(f"{shown} has no commit {commit}.", _GOOD_REF) from None
        store = repository.object_store
        if wanted not in store:
            raise Alert(f"{shown} has no commit {commit}.", _GOOD_REF)
        found: ShaFile = store[wanted]
        while isinstance(found, Tag):
            found = store[found.object[1]]
        tree = store[found.tree] if isinstance(found, Commit) else found
        for part in PurePosixPath(file).parts:
            if not isinstance(tree, Tree) or part.encode() not in tree:
                raise Alert(f"{shown} has no file {file!r} at {commit[:10]}.", "Mend the script's file or ref.")
            mode, name = tree[part.encode()]
            if S_ISGITLINK(mode):
                raise Alert(f"{part!r} in {shown} is another repository.", "Name that one as the script's git.")
            if name not in store:
                what = f"The script at {shown} {commit[:10]} {file} is longer than {MOST_BYTES:,} bytes."
                raise Alert(what, "Make it shorter.")
            tree = store[name]
        if not isinstance(tree, Blob):
            raise Alert(f"{file!r} in {shown} is no file.", "Give the path of a Python file.")
        return tree.as_raw_string()
    finally:
        repository.close()


def _fetch_pack(source: _Source, repository: MemoryRepo, want: DetermineWantsFunc, shown: str) -> None:
    """Copy a commit's files into a repository in memory; too many of them are an Alert."""
    with SpooledTemporaryFile(max_size=4_000_000) as pack:

        def write(data: bytes) -> int:
            if pack.tell() + len(data) > _MOST_PACK_BYTES:
                raise Alert(
                    f"{shown} has more than {_MOST_PACK_BYTES // 1_000_000} MB beside the script.",
                    "Keep scripts in a repository of their own, or set uploadpack.allowFilter on its server.",
                )
            return pack.write(data)

        walker = repository.get_graph_walker()
        source.client.fetch_pack(source.path.encode(), want, walker, write, depth=1, filter_spec=_FILTER)
        if pack.tell():
            pack.seek(0)
            cast("MemoryObjectStore", repository.object_store).add_thin_pack(pack.read, None)


def _without_secrets(address: str) -> str:
    """Return an address without user, password and query."""
    parts = urlsplit(address)
    if not parts.scheme or not parts.netloc:
        return address
    host = parts.hostname or ""
    return urlunsplit((parts.scheme, f"{host}:{parts.port}" if parts.port else host, parts.path, "", ""))
