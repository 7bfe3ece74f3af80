"""Finds the data operations: every `Operation` that a module of `runstart/operations/` declares.

There is no list to edit. `RUNSTART_OPERATIONS` may name more packages of operations, separated by commas, so that a
facility keeps its own beside its deployment.
"""

from __future__ import annotations

import difflib
import importlib
import os
import pkgutil
from collections.abc import Iterator, Mapping

from runstart.errors import Alert
from runstart.operation_kit.declaration import Operation

PACKAGES_VARIABLE = "RUNSTART_OPERATIONS"
_OWN = "runstart.operations"


def find_operations(environ: Mapping[str, str] | None = None) -> dict[str, Operation]:
    """Return all data operations by slug, sorted.

    Parameters
    ----------
    environ : mapping of str to str, optional
        By default that of the process.

    Raises
    ------
    Alert
        If two have one slug or one name, or a package that the environment names cannot be imported.
    """
    environ = os.environ if environ is None else environ
    named = filter(None, map(str.strip, environ.get(PACKAGES_VARIABLE, "").split(",")))
    found: dict[str, Operation] = {}
    by_name: dict[str, Operation] = {}
    for package in dict.fromkeys([_OWN, *named]):
        for operation in _declared_in(package):
            for name in (operation.slug, operation.name.casefold()):
                other = by_name.setdefault(name, operation)
                if other is not operation:
                    where = f"{other.function.__module__} and {operation.function.__module__}"
                    raise Alert(f"Two data operations are called {name!r}: of {where}.", "Rename one.")
            found[operation.slug] = operation
    return dict(sorted(found.items()))


def find_operation(name: str, environ: Mapping[str, str] | None = None) -> Operation:
    """Return the data operation of a name or slug.

    Raises
    ------
    Alert
        If there is none; it names the nearest.
    """
    operations = find_operations(environ)
    by_name = {known.casefold(): op for op in operations.values() for known in (op.slug, op.name)}
    if name.casefold() in by_name:
        return by_name[name.casefold()]
    nearest = difflib.get_close_matches(name.casefold(), by_name, n=1)
    remedy = f"Did you mean {by_name[nearest[0]].name!r}?" if nearest else f"There are {', '.join(operations)}."
    raise Alert(f"There is no data operation {name!r}.", remedy)


def _declared_in(package_name: str) -> Iterator[Operation]:
    remedy = f"Install it, or take it out of {PACKAGES_VARIABLE}."
    if not all(part.isidentifier() for part in package_name.split(".")):
        raise Alert(f"{package_name!r} is no name of a package of data operations.", remedy)
    try:
        package = importlib.import_module(package_name)
    except ModuleNotFoundError as error:
        what = f"The package {package_name!r} of data operations cannot be imported: {error}."
        raise Alert(what, remedy) from error
    if not hasattr(package, "__path__"):
        raise Alert(f"{package_name!r} is a module, not a package of data operations.", "Name its package.")
    for info in sorted(pkgutil.iter_modules(package.__path__), key=lambda info: info.name):
        if info.name.startswith("_"):
            continue
        module = importlib.import_module(f"{package_name}.{info.name}")
        for value in vars(module).values():
            if isinstance(value, Operation) and value.function.__module__ == module.__name__:
                yield value
