"""Prints the libraries that operators need, as pyproject.toml bounds them: `python requirements.py pyproject.toml`."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

NEEDED = (
    "numpy",
    "numba",
    "h5py",
    "hdf5plugin",
    "msgpack",
    "tifffile",
    "matplotlib",
    "pillow",
    "flatbuffers",
    "crc32c",
    "pyzmq",
    "pydantic",
)


def needed(project: Path) -> list[str]:
    """Return the requirements of operators, those of `NEEDED` in their order."""
    listed = tomllib.loads(project.read_text(encoding="utf-8"))["project"]["dependencies"]
    bounds = {re.split(r"[^A-Za-z0-9_-]", one, maxsplit=1)[0].lower(): one for one in listed}
    return [bounds[name] for name in NEEDED]


if __name__ == "__main__":
    sys.stdout.write("\n".join(needed(Path(sys.argv[1]))) + "\n")
