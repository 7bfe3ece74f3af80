"""Checks that the images of a request are of the filters that the operation takes.

A reference may say its filter; else the header of its file does. A camera without filters has none in any of its
headers: where one filter is asked for, whichever it is, none at all is one too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runstart.errors import Alert
from runstart.fits import FitsReference, InputFiles, ResolvedFile
from runstart.operation_kit.declaration import Operation
from runstart.operation_kit.kinds import Fits


def check_filters(
    operation: Operation,
    values: Mapping[str, Any],
    resolved: Mapping[FitsReference, ResolvedFile],
    inputs: InputFiles,
) -> dict[str, dict[FitsReference, str]]:
    """Check the filters of all inputs that ask for it, and return them by input.

    Raises
    ------
    Alert
        If an image has no filter though others have one or some are asked for, one that is not accepted, or another
        one than the first image.
    """
    filters = {}
    for key, declared in operation.inputs.items():
        kind = declared.kind
        if isinstance(kind, Fits) and (kind.filter_options or kind.single_filter):
            found = {r: r.filter or _filter_of(resolved[r], inputs) for r in kind.references(values[key])}
            _check(key, kind, found)
            filters[key] = found
    return filters


def _check(key: str, kind: Fits, found: Mapping[FitsReference, str]) -> None:
    if kind.single_filter and not kind.filter_options and not any(found.values()):
        return
    options = ", ".join(kind.filter_options)
    for reference, name in found.items():
        if not name:
            raise Alert(f"{key}: {reference.name} has no filter.", "Name it in the request: filter = ...")
        if kind.filter_options and name not in kind.filter_options:
            raise Alert(f"{key}: {reference.name} is of the filter {name!r}.", f"Accepted are {options}.")
    if kind.single_filter and len(set(found.values())) > 1:
        (first, expected), *others = found.items()
        other, name = next((r, name) for r, name in others if name != expected)
        raise Alert(
            f"{key} mixes filters: {first.name} is of {expected!r}, {other.name} of {name!r}.",
            "Give images of one filter.",
        )


def _filter_of(file: ResolvedFile, inputs: InputFiles) -> str:
    from runstart.fits import filter_of, read_header

    with inputs.open(file) as path:
        return filter_of(read_header(path, label=file.name))
