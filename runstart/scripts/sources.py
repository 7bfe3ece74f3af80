"""Fetches the text of a reduction script from a folder, a git repository or a URL, by content.

A fetch is short: what hangs is given up. Tokens come from the environment variable that the declaration names, go
to that source only, never across to another host, and never into a text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from runstart.errors import Alert, Transient

if TYPE_CHECKING:
    from runstart.instruments.script import Script

__all__ = ["MOST_BYTES", "FetchedScript", "fetch"]

MOST_BYTES = 1_000_000
"""Length limit of a script."""


@dataclass(frozen=True)
class FetchedScript:
    """A script's text.

    Attributes
    ----------
    text : bytes
        As it is at the source.
    sha256 : str
        Of the text, in hexadecimal digits.
    origin : str
        Where it came from, for people; without secrets.
    """

    text: bytes
    sha256: str
    origin: str


def fetch(script: Script, environ: Mapping[str, str]) -> FetchedScript:
    """Return the script's text as it is now at its source.

    Parameters
    ----------
    script : Script
        Its declaration; `folder` is absolute.
    environ : mapping of str to str
        Where the token is looked up.

    Raises
    ------
    Alert
        The declaration is wrong: no such file, ref or token, or not allowed.
    Transient
        The source does not answer, or answers with its own trouble.
    """
    token = _token(script, environ)
    if script.folder is not None:
        text, origin = _fetch_from_folder(Path(script.folder), script.file)
    elif script.git is not None:
        from runstart.scripts._git import fetch_from_git

        text, origin = fetch_from_git(script.git, script.ref, script.file, token)
    elif script.url is not None:
        from runstart.scripts._url import fetch_from_url

        text, origin = fetch_from_url(script.url, token)
    else:
        raise AssertionError("a script without a source")
    if len(text) > MOST_BYTES:
        raise Alert(f"The script at {origin} is longer than {MOST_BYTES:,} bytes.", "Make it shorter.")
    return FetchedScript(text, sha256(text).hexdigest(), origin)


def _token(script: Script, environ: Mapping[str, str]) -> str | None:
    if script.token_variable is None:
        return None
    token = environ.get(script.token_variable, "").strip()
    if not token:
        what = f"The environment variable {script.token_variable}, which holds the script's token, is not set."
        raise Alert(what, "Set it for the processes of Dagster.")
    if not token.isascii() or not token.isprintable():
        what = f"The token in {script.token_variable} has characters that no token has."
        raise Alert(what, "Set the variable to the token alone.")
    return token


def _fetch_from_folder(folder: Path, file: str) -> tuple[bytes, str]:
    origin = str(folder / file)
    try:
        inside, path = folder.resolve(strict=True), (folder / file).resolve(strict=True)
        if not path.is_relative_to(inside):
            raise Alert(
                f"The script {origin} is a link to a file outside its folder.", "Put the file itself there."
            )
        if not path.is_file():
            raise Alert(f"The script {origin} is no file.", "Give the path of a Python file.")
        with path.open("rb") as stream:
            return stream.read(MOST_BYTES + 1), origin
    except (FileNotFoundError, NotADirectoryError) as problem:
        raise Alert(f"There is no script {origin}.", "Put it there, or mend the declaration.") from problem
    except PermissionError as problem:
        raise Alert(f"The script {origin} may not be read.", "Give Dagster's user the right to.") from problem
    except OSError as problem:
        raise Transient(f"The script {origin} cannot be read: {problem.strerror}") from problem
