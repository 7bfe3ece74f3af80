"""Where the deployment's FITS files come from, and how much of the local disk they may take."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from runstart.errors import Alert
from runstart.file_cache import FileCache
from runstart.fits.archive_source import ArchiveSource
from runstart.fits.folder_source import FolderSource
from runstart.fits.inputs import InputFiles
from runstart.fits.source import FitsSource
from runstart.fits.store_source import StoreSource, output_key
from runstart.fits.uri_source import UriSource
from runstart.sizes import parse_size
from runstart.storage import ObjectStore

__all__ = ["InputSettings", "open_inputs"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_SIZE_VARIABLE = "RUNSTART_FILE_CACHE_BYTES"
_OURS = ("archive", "store")


def _default_cache_folder() -> str:
    return _cache_folder(os.environ)


class InputSettings(BaseModel):
    """What a deployment says about input files.

    Attributes
    ----------
    archive_url : str or None
        Address of the archive's API.
    archive_token_variable : str
        Name of the environment variable that holds the archive's token.
    folders : dict of str to str
        Folders by the name of the source that they are.
    uri_prefixes : tuple of str
        Beginnings of URIs that may be read.
    cache_folder : str
        Folder of the file cache, on a local disk.
    cache_bytes : int
        Its budget in bytes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    archive_url: str | None = None
    archive_token_variable: str = "RUNSTART_ARCHIVE_TOKEN"  # noqa: S105 - a variable's name
    folders: dict[str, str] = Field(default_factory=dict)
    uri_prefixes: tuple[str, ...] = ()
    cache_folder: str = Field(default_factory=_default_cache_folder)
    cache_bytes: int = Field(default=2 * 2**30, ge=0)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> InputSettings:
        """Read the settings from environment variables.

        Parameters
        ----------
        environ : mapping, optional
            RUNSTART_ARCHIVE_API, RUNSTART_FITS_FOLDERS (`name=/path,name2=/path2`), RUNSTART_FITS_URIS (prefixes,
            separated by commas), RUNSTART_FILE_CACHE (a folder) and RUNSTART_FILE_CACHE_BYTES (such as 500MB or
            2GiB).

        Returns
        -------
        InputSettings
            With defaults for what is not set.

        Raises
        ------
        Alert
            A variable does not have its form.
        """
        size = environ.get(_SIZE_VARIABLE, "").strip()
        given = {"cache_bytes": parse_size(size, _SIZE_VARIABLE)} if size else {}
        return cls(
            archive_url=environ.get("RUNSTART_ARCHIVE_API", "").strip() or None,
            folders=_folders_of(environ.get("RUNSTART_FITS_FOLDERS", "")),
            uri_prefixes=tuple(_listed(environ.get("RUNSTART_FITS_URIS", ""))),
            cache_folder=environ.get("RUNSTART_FILE_CACHE", "").strip() or _cache_folder(environ),
            **given,
        )


def open_inputs(
    settings: InputSettings,
    store: ObjectStore,
    environ: Mapping[str, str] = os.environ,
    *,
    find: Callable[[str], str] = output_key,
) -> InputFiles:
    """Return the input files of a deployment; nothing is asked or made yet.

    Parameters
    ----------
    settings : InputSettings
        What the deployment says.
    store : ObjectStore
        Where operations keep their outputs: the source `store`.
    environ : mapping, optional
        Holds the archive's token, if it needs one.
    find : callable, optional
        Returns the object's key for the basename of an output, or raises `Alert`.

    Returns
    -------
    InputFiles
        With the sources `archive` (if there is one), `store`, and the folders.

    Raises
    ------
    Alert
        A setting does not name what it should.
    """
    sources: dict[str, FitsSource] = {"store": StoreSource("store", store, find)}
    if settings.archive_url:
        token = environ.get(settings.archive_token_variable, "").strip()
        sources["archive"] = ArchiveSource("archive", settings.archive_url, token)
    for name, folder in settings.folders.items():
        if name in _OURS or not _NAME.fullmatch(name):
            what = f"A folder of FITS files cannot have the name {name!r}."
            raise Alert(
                what, f"Use letters, digits, - and _ in RUNSTART_FITS_FOLDERS, and not {' or '.join(_OURS)}."
            )
        sources[name] = FolderSource(name, Path(folder).absolute())
    folders = [source.folder for source in sources.values() if isinstance(source, FolderSource)]
    uri_source = UriSource(folders, settings.uri_prefixes)
    return InputFiles(sources, uri_source, FileCache(settings.cache_folder, settings.cache_bytes))


def _cache_folder(environ: Mapping[str, str]) -> str:
    base = environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return str(Path(base) / "runstart" / "file-cache")


def _folders_of(text: str) -> dict[str, str]:
    folders: dict[str, str] = {}
    for part in _listed(text):
        name, equals, folder = (piece.strip() for piece in part.partition("="))
        if not equals or not _NAME.fullmatch(name) or not folder or name in folders:
            what = f"RUNSTART_FITS_FOLDERS holds {part!r}, which does not name a folder, or names it twice."
            raise Alert(what, "Set it to name=/path,name2=/path2.")
        folders[name] = folder
    return folders


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
