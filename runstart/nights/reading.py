"""Reads `sites.toml`; whatever is wrong with it becomes an `Alert` with file, line, field and remedy.

Of several mistakes the first in the file is told, with the number of the others. Keys that nothing reads are
mistakes too. A file without sites is fine: a facility without a telescope has none.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from runstart.errors import Alert
from runstart.nights._cron import explain_cron
from runstart.nights.site import Site
from runstart.storage import open_store
from runstart.toml_files import Problem, absolute_address, named_tables, read_document, validate_named

EXPOSURES_VARIABLE = "RUNSTART_EXPOSURES"

# Sources that data operations know already.
_TAKEN = ("archive", "store")


def read_sites(path: str | os.PathLike[str], environ: Mapping[str, str] | None = None) -> dict[str, Site]:
    """Read the observing sites that a facility declares.

    Parameters
    ----------
    path : str or os.PathLike
        The TOML file.
    environ : Mapping[str, str], optional
        Environment, by default that of the process. Relative folders of exposures lie in its
        `RUNSTART_EXPOSURES`, by default beside the file.

    Returns
    -------
    dict of str to Site
        The sites by name, in the order of the file; folders are absolute.

    Raises
    ------
    Alert
        The file is not there, is not TOML, or declares something that cannot be.
    """
    document = read_document(path, "Name the file that declares the sites, or write one.")
    tables = named_tables(document, "sites")
    environ = os.environ if environ is None else environ
    base = Path(environ.get(EXPOSURES_VARIABLE) or document.path.parent).absolute()
    sites: dict[str, Site] = {}
    problems: list[Problem] = []
    for name, table in tables.items():
        site, found = _read_site(name, table, base)
        problems += found
        if site is not None:
            sites[name] = site
    if problems:
        raise document.alert(problems)
    return sites


def _read_site(name: str, table: Mapping[str, Any], base: Path) -> tuple[Site | None, list[Problem]]:
    site, problems = validate_named(Site, "sites", name, table)
    if site is None:
        return None, problems
    conflicts: list[Problem] = [(("sites", name, *field), what) for field, what in _conflicts(site)]
    if conflicts:
        return None, conflicts
    return site.model_copy(update={"exposures": absolute_address(site.exposures, base)}), []


def _conflicts(site: Site) -> Iterable[Problem]:
    """Yield what is wrong with a site although each of its fields is of the right type."""
    if site.name.lower() in _TAKEN:
        yield (), f"{site.name!r} is a source of data operations already; choose another name"
    try:
        open_store(site.exposures, s3_client=object())
    except Alert:
        yield ("exposures",), f"{site.exposures!r} is neither file:FOLDER nor s3://BUCKET/PREFIX"
    problem = explain_cron(site.morning)
    if problem:
        yield ("morning",), problem
    for field in ("bias_level", "flat_level"):
        low, high = getattr(site.limits, field)
        if not low < high:
            yield ("limits", field), f"{low:g} is not less than {high:g}; write [lowest, highest]"
