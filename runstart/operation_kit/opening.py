"""The workplace that the environment asks for; `runstart.nights.add_sites` adds the exposures of sites to it.

Both are the same on the command line and in Dagster.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path

from runstart.errors import Alert
from runstart.fits import InputSettings, open_inputs
from runstart.operation_kit.entry import find_output
from runstart.operation_kit.execution import MEMORY_LIMIT, Workplace
from runstart.sizes import parse_size
from runstart.storage import ObjectStore

MEMORY_VARIABLE = "RUNSTART_MEMORY_LIMIT"
SCRATCH_VARIABLE = "RUNSTART_SCRATCH"
_LEAST_MEMORY = 2**20


def open_workplace(
    store: ObjectStore, environ: Mapping[str, str], *, local_folders: Iterable[Path] = ()
) -> Workplace:
    """Return where data operations are computed; nothing is asked or made yet.

    Its sources are the store, the archive, and the declared folders: sites are none until `runstart.nights.add_sites`.

    Parameters
    ----------
    store : ObjectStore
        Keeps the entries; its outputs are the source `store`.
    environ : mapping of str to str
        What `InputSettings.from_environment` reads; `RUNSTART_SCRATCH`, a folder for temporary files, that of the
        file cache by default; `RUNSTART_MEMORY_LIMIT`, what stacks may take, such as 500MB or 2GiB.
    local_folders : iterable of Path, optional
        Folders whose files may be read by `file:` URIs too: only for who is the owner of this process.

    Raises
    ------
    Alert
        If a variable does not have its form.
    """
    settings = InputSettings.from_environment(environ)
    local = tuple(f"{folder.absolute().as_uri()}/" for folder in local_folders)
    settings = settings.model_copy(update={"uri_prefixes": (*settings.uri_prefixes, *local)})
    inputs = open_inputs(settings, store, environ, find=partial(find_output, store))
    scratch = environ.get(SCRATCH_VARIABLE, "").strip() or Path(settings.cache_folder) / "scratch"
    return Workplace(store, inputs, Path(scratch).absolute(), memory_limit=_memory_limit(environ))


def _memory_limit(environ: Mapping[str, str]) -> int:
    text = environ.get(MEMORY_VARIABLE, "").strip()
    if not text:
        return MEMORY_LIMIT
    limit = parse_size(text, MEMORY_VARIABLE)
    if limit < _LEAST_MEMORY:
        raise Alert(f"{MEMORY_VARIABLE} is {text!r}, less than 1MiB.", "Give a stack more memory.")
    return limit
