"""Reads files: frames in batches, arrays, tables, pictures, and the bytes of all else."""

from __future__ import annotations

from typing import Any

from runstart.frame_messages import MEGABYTE, FileReader, find_files
from runstart.operators import DATA_DIRECTORY, BytesMessage, EndOfStream, operator

_MOUNT = "file_or_folder"
_reader: FileReader | None = None


@operator
def file_reader(inputs: BytesMessage | None, parameters: dict[str, Any]) -> BytesMessage:
    """Return the next message."""
    global _reader  # noqa: PLW0603 - a source goes on where it was
    if _reader is None:
        files = find_files(DATA_DIRECTORY, parameters["files"], parameters["file_or_folder"], _MOUNT)
        _reader = FileReader(files, int(parameters["batch_size_mb"] * MEGABYTE))
    message = _reader.next()
    if message is None:
        raise EndOfStream
    return message
