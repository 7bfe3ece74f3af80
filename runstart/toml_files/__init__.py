"""TOML files that people write: read once, and a mistake told with its file, line, field and remedy."""

from __future__ import annotations

from runstart.toml_files.document import (
    Document,
    FieldPath,
    Problem,
    describe_error,
    describe_unknown_key,
    read_document,
)
from runstart.toml_files.named_tables import absolute_address, known_keys, named_tables, validate_named

__all__ = [
    "Document",
    "FieldPath",
    "Problem",
    "absolute_address",
    "describe_error",
    "describe_unknown_key",
    "known_keys",
    "named_tables",
    "read_document",
    "validate_named",
]
