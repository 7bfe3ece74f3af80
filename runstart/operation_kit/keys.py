"""The cache key of a request: SHA-256 over what its results depend on, and nothing else.

That is the operation with its version, the source of its file, the version of the library with the source of what
computes and writes images (`runstart/images`, `runstart/fits`, `operation_kit/outputs.py`), the checked parameters, the
digests of the input files' content, and their filters if the operation asks for them. Names of files are no part
of it, but a list of FITS images is put into the order of its basenames first, so that the same set of images has one
key, and outputs are numbered in an order that people understand. So renaming makes a new key only if it changes the
order. Equal content under other names finds what was made first, with the names of then.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from runstart import source_digest
from runstart.errors import Alert
from runstart.fits import FitsReference, ResolvedFile
from runstart.operation_kit.declaration import Operation
from runstart.operation_kit.kinds import ColorChannels, Fits

_SOURCES = ("images", "fits", "operation_kit/outputs.py")
_KEY = re.compile(r"[0-9a-f]{64}")

Resolved = Mapping[FitsReference, ResolvedFile]


def order_files(operation: Operation, values: Mapping[str, Any], resolved: Resolved) -> dict[str, Any]:
    """Return checked inputs with each list of FITS images in the order that key and outputs follow.

    Channels keep their order: each is its own.
    """
    ordered = dict(values)
    for key, declared in operation.inputs.items():
        if isinstance(declared.kind, Fits) and not isinstance(declared.kind, ColorChannels):
            ordered[key] = sorted(values[key], key=lambda r: (resolved[r].name, resolved[r].sha256))
    return ordered


def describe_request(
    operation: Operation,
    values: Mapping[str, Any],
    resolved: Resolved,
    filters: Mapping[str, Mapping[FitsReference, str]],
) -> dict[str, Any]:
    """Return what a key is made of, as plain JSON.

    Parameters
    ----------
    operation : Operation
        What is asked for.
    values : mapping of str to object
        Checked inputs, in order (`order_files`).
    resolved : mapping of FitsReference to ResolvedFile
        The files that they refer to.
    filters : mapping of str to mapping
        Their filters, for inputs that ask for them.
    """
    described: dict[str, Any] = {
        "operation": operation.name,
        "version": operation.version,
        "source_sha256": operation.source_sha256,
        "library": library_version(),
        "inputs": {key: _content(value, resolved) for key, value in values.items()},
    }
    if filters:
        told = {key: operation.inputs[key].kind.references(values[key]) for key in filters}
        described["filters"] = {key: [filters[key][r] for r in references] for key, references in told.items()}
    return described


def library_version() -> str:
    """Return the version of the library, and 12 digits of the SHA-256 of the sources that outputs depend on."""
    return source_digest.library_version(*_SOURCES)


def make_key(made_of: Mapping[str, Any]) -> str:
    """Return the key: 64 hexadecimal digits."""
    canonical = json.dumps(made_of, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def is_key(text: str) -> bool:
    """Tell whether a text is a cache key."""
    return _KEY.fullmatch(text) is not None


def check_is_key(key: str) -> str:
    """Return a text if it is a cache key.

    Raises
    ------
    Alert
        If it is none.
    """
    if not is_key(key):
        raise Alert(f"{key!r} is no key of a data operation.", "A key has 64 digits from 0 to f.")
    return key


def _content(value: Any, resolved: Resolved) -> Any:
    """Return a checked value with every reference replaced by the digest of its file."""
    if isinstance(value, FitsReference):
        return f"sha256:{resolved[value].sha256}"
    if isinstance(value, Mapping):
        return {key: _content(item, resolved) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_content(item, resolved) for item in value]
    return value
