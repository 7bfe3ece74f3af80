"""Reads `sites.toml`; whatever is wrong with it becomes an `Alert` with file, line, field and remedy.

Of several mistakes the first in the file is told, with the number of the others. Keys that nothing reads are
mistakes too. A file without sites is fine: a facility without a telescope has none.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from runstart.errors import Alert
from runstart.nights._cron import explain_cron
from runstart.nights.site import Keywords, Limits, Site
from runstart.storage import open_store
from runstart.toml_files import FieldPath, Problem, describe_error, describe_unknown_key, read_document

EXPOSURES_VARIABLE = "RUNSTART_EXPOSURES"

_NESTED: dict[str, type[BaseModel]] = {"keywords": Keywords, "limits": Limits}
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
    problems: list[Problem] = [
        ((key,), describe_unknown_key(key, ("sites",))) for key in document.table if key != "sites"
    ]
    tables = document.table.get("sites", {})
    if not isinstance(tables, dict) or not all(isinstance(table, dict) for table in tables.values()):
        problems.append((("sites",), "is not made of tables; write [sites.NAME]"))
    if problems:
        raise document.alert(problems)
    environ = os.environ if environ is None else environ
    base = Path(environ.get(EXPOSURES_VARIABLE) or document.path.parent).absolute()
    sites = {}
    for name, table in tables.items():
        site, found = _read_site(name, table, base)
        problems += found
        if site is not None:
            sites[name] = site
    if problems:
        raise document.alert(problems)
    return sites


def _read_site(name: str, table: Mapping[str, Any], base: Path) -> tuple[Site | None, list[Problem]]:
    prefix = ("sites", name)
    if "name" in table:
        return None, [((*prefix, "name"), f"the table {name!r} is the name; remove this line")]
    try:
        site = Site.model_validate({"name": name, **table})
    except ValidationError as error:
        return None, [_problem(prefix, details) for details in error.errors()]
    problems = list(_conflicts(site))
    if problems:
        return None, [((*prefix, *field), what) for field, what in problems]
    return site.model_copy(update={"exposures": _absolute(site.exposures, base)}), []


def _problem(prefix: tuple[str, str], details: Any) -> Problem:
    location: FieldPath = details["loc"]
    if location == ("name",):
        return prefix, (
            f"{prefix[1]!r} cannot be a name; write a letter, then at most 62 letters, digits and underscores"
        )
    known: list[str] = []
    if details["type"] == "extra_forbidden":
        owner = Site if len(location) == 1 else _NESTED[str(location[0])]
        known = [field for field in owner.model_fields if field != "name"]
    return (*prefix, *location), describe_error(details, known)


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


def _absolute(exposures: str, base: Path) -> str:
    """Return an address with its folder, if it is one, taken from the base folder."""
    if not exposures.startswith("file:"):
        return exposures
    folder = exposures.removeprefix("file:")
    folder = folder.removeprefix("//") if folder.startswith("///") else folder
    return f"file:{base / folder}"
