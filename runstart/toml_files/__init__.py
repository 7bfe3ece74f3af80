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

__all__ = ["Document", "FieldPath", "Problem", "describe_error", "describe_unknown_key", "read_document"]
