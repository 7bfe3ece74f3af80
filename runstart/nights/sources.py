"""The exposures of sites as sources of data operations, the same on the command line and in Dagster."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from runstart.errors import Alert
from runstart.nights.exposures import exposure_source
from runstart.nights.reading import read_sites
from runstart.operation_kit import Workplace

SITES_VARIABLE = "RUNSTART_SITES"
USUAL_SITES_FILE = "sites.toml"


def find_sites_file(environ: Mapping[str, str], folder: Path) -> Path | None:
    """Return the file that declares the sites: what `RUNSTART_SITES` names, else `sites.toml` if the folder has one.

    Parameters
    ----------
    environ : mapping of str to str
        The environment.
    folder : Path
        Where to look for `sites.toml`.
    """
    named = environ.get(SITES_VARIABLE, "").strip()
    if named:
        return Path(named)
    usual = folder / USUAL_SITES_FILE
    return usual if usual.is_file() else None


def add_sites(workplace: Workplace, sites_file: str | os.PathLike[str], environ: Mapping[str, str]) -> None:
    """Let the exposures of each site be a source of its name.

    Parameters
    ----------
    workplace : Workplace
        Gets the sources.
    sites_file : str or os.PathLike
        Declares the sites.
    environ : mapping of str to str
        For `read_sites`.

    Raises
    ------
    Alert
        If the sites are not well declared, or one has the name of another source, such as a declared folder.
    """
    sources = workplace.inputs.sources
    for site in read_sites(sites_file, environ).values():
        if site.name in sources:
            other = sources[site.name]
            what = f"The site {site.name!r} of {os.fspath(sites_file)!r} has the name of another source: {other!r}."
            raise Alert(what, "Give the folder another name in RUNSTART_FITS_FOLDERS, or leave it out.")
        sources[site.name] = exposure_source(site)
