"""What an author of an operator writes with: `from runstart.operators import operator, BytesMessage`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runstart.operators.data_directory import data_directory
from runstart.operators.declaring import EndOfStream, dependencies, on_finish, operator
from runstart.operators.messages import BytesMessage, MessageHeader
from runstart.operators.publishing import publish

if TYPE_CHECKING:
    from pathlib import Path

    DATA_DIRECTORY: Path

__all__ = [
    "DATA_DIRECTORY",
    "BytesMessage",
    "EndOfStream",
    "MessageHeader",
    "dependencies",
    "on_finish",
    "operator",
    "publish",
]


def __getattr__(name: str) -> Path:
    # Looked up when a run.py is loaded: only then it is known where its data are.
    if name == "DATA_DIRECTORY":
        return data_directory()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
