"""Reads a file of counted frames at each pull of its trigger, and sends it in batches of whole scan positions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from runstart.frame_messages import MEGABYTE, RepeatedReader, find_file
from runstart.operators import DATA_DIRECTORY, BytesMessage, operator

_reader = RepeatedReader()


@operator
def counted_data_reader(
    inputs: BytesMessage | None, parameters: dict[str, Any], trigger: str | None = None
) -> BytesMessage | None:
    """Return the next batch for `read_now`; None at the end of the file."""
    if trigger != "read_now":
        return None
    path: Path = find_file(DATA_DIRECTORY / "raw_data_dir", parameters["filename"])
    return _reader.next(path, int(parameters["batch_size_mb"] * MEGABYTE), cache=parameters["cache_last_file"])
