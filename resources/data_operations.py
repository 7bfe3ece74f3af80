"""Where data operations are computed, as a Dagster resource: their input files, and how much memory and disk they take.

The archive's token is never configuration: it comes from the environment alone.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import Field

if TYPE_CHECKING:
    from runstart.operation_kit import Workplace
    from runstart.storage import ObjectStore


class DataOperationsResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Finds the input files of data operations, and says what a computation may take."""

    sites_file: str = Field(
        description="The file that declares the sites (sites.toml): the exposures of each are a source of its name."
    )
    archive_url: str | None = Field(
        default=None, description="Address of the archive's API: the source `archive` (`RUNSTART_ARCHIVE_API`)."
    )
    folders: str | None = Field(
        default=None,
        description="Folders that are sources: `name=/path,name2=/path2` (`RUNSTART_FITS_FOLDERS`).",
    )
    uri_prefixes: str | None = Field(
        default=None,
        description="What URIs of input files may begin with, such as `s3://bucket/`, separated by commas "
        "(`RUNSTART_FITS_URIS`); by default no URI is read.",
    )
    file_cache: str | None = Field(
        default=None,
        description="Folder on a local disk for files that come from elsewhere (`RUNSTART_FILE_CACHE`).",
    )
    file_cache_bytes: str | None = Field(
        default=None, description="How much that folder may hold, such as `20GiB` (`RUNSTART_FILE_CACHE_BYTES`)."
    )
    memory_limit: str | None = Field(
        default=None, description="What a stack may take, such as `2GiB` (`RUNSTART_MEMORY_LIMIT`)."
    )
    scratch: str | None = Field(default=None, description="Folder for temporary files (`RUNSTART_SCRATCH`).")

    @classmethod
    def from_environment(cls, environ: Mapping[str, str], sites_file: str) -> DataOperationsResource:
        """Return the resource that says what the environment says.

        Parameters
        ----------
        environ : mapping of str to str
            The environment of the code location.
        sites_file : str
            Declares the sites.
        """
        given = {field: environ.get(variable) or None for field, variable in _VARIABLES.items()}
        return cls(sites_file=sites_file, **given)

    def open(self, store: ObjectStore) -> Workplace:
        """Return the workplace whose results are kept in a store.

        Raises
        ------
        Alert
            If a setting does not have its form, the sites are not well declared, or one has the name of a declared folder.
        """
        from runstart.nights import add_sites
        from runstart.operation_kit import open_workplace

        settings = {variable: getattr(self, field) for field, variable in _VARIABLES.items()}
        environ = os.environ | {variable: value for variable, value in settings.items() if value is not None}
        workplace = open_workplace(store, environ)
        add_sites(workplace, self.sites_file, environ)
        return workplace


_VARIABLES = {
    "archive_url": "RUNSTART_ARCHIVE_API",
    "folders": "RUNSTART_FITS_FOLDERS",
    "uri_prefixes": "RUNSTART_FITS_URIS",
    "file_cache": "RUNSTART_FILE_CACHE",
    "file_cache_bytes": "RUNSTART_FILE_CACHE_BYTES",
    "memory_limit": "RUNSTART_MEMORY_LIMIT",
    "scratch": "RUNSTART_SCRATCH",
}
