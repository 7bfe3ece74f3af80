"""How an instrument declares its reduction script: where it comes from, how often it runs, what it may use."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Annotated, Any

from pydantic import Field, StrictInt, field_validator, model_validator

from runstart.instruments._base import Frozen, Interval

_VARIABLE = r"^[A-Za-z_][A-Za-z0-9_]{0,127}$"
_GIT = re.compile(r"(https?|ssh|git|file)://\S+|/\S+|[\w.-]+@[\w.-]+:\S+")
_KEY = r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,127}$"


class Script(Frozen):
    """A reduction script: a Python file with `def reduce(run)`, from exactly one source."""

    folder: str | None = None
    """Folder of the script, absolute or relative to `instruments.toml`."""

    git: str | None = None
    """Address of a git repository: https://, ssh://, git://, file:// or an absolute path."""

    url: str | None = None
    """Address of the script itself: https:// or http://."""

    ref: str = "main"
    """Branch, tag or commit of the git repository."""

    file: str = "reduce.py"
    """Path of the script in the folder or repository."""

    token_variable: Annotated[str, Field(pattern=_VARIABLE)] | None = None
    """Environment variable with a token: sent as `Authorization: Bearer` to the URL, as password to git."""

    refresh: Interval = 30.0
    """Seconds between looks for a new script."""

    interval: Interval = 10.0
    """Seconds from the start of one execution to the next."""

    timeout: Interval = 30.0
    """Seconds that one execution may take."""

    memory_mb: Annotated[StrictInt, Field(ge=64, le=1_000_000)] = 1024
    """Megabytes (1,000,000 bytes) that one execution may use, its child processes included."""

    container: str | None = None
    """Image to execute the script in, for scripts that need Mantid or scipp."""

    keep_events: Annotated[StrictInt, Field(ge=0, le=1_000_000_000)] = 0
    """Newest events of the run that are kept for the script (20 bytes each, in memory only); 0 keeps none."""

    reference: Annotated[str, Field(pattern=_KEY)] | None = None
    """Run key of a finished run of this instrument that the script may compare with."""

    @field_validator("file")
    @classmethod
    def _check_file(cls, file: str) -> str:
        path = PurePosixPath(file)
        if path.is_absolute() or ".." in path.parts or not path.parts or "\\" in file or "\0" in file:
            raise ValueError(f"{file!r} is not a path inside the source; write one like 'SANS2D/reduce.py'")
        return file

    @field_validator("git")
    @classmethod
    def _check_git(cls, git: str | None) -> str | None:
        if git is not None and not _GIT.fullmatch(git):
            raise ValueError(
                f"{git!r} is no address of a git repository; write one like 'https://host/scripts.git'"
            )
        return git

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: str | None) -> str | None:
        if url is not None and not re.fullmatch(r"https?://[^\s/]+(/\S*)?", url):
            raise ValueError(f"{url!r} is no HTTP address; write one like 'https://host/reduce.py'")
        return url

    @model_validator(mode="before")
    @classmethod
    def _check_source(cls, table: Any) -> Any:
        if isinstance(table, dict):
            given = [key for key in ("folder", "git", "url") if table.get(key) is not None]
            if len(given) != 1:
                named = " and ".join(given) or "none"
                raise ValueError(f"names {named} as its source; write exactly one of folder, git and url")
        return table
