"""Prints what the image's virtual environment is made of: `python requirements.py pyproject.toml`."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path


def needed(project: Path) -> list[str]:
    """Return the requirements of the library and of the extra `cluster`."""
    declared = tomllib.loads(project.read_text(encoding="utf-8"))["project"]
    return [*declared["dependencies"], *declared["optional-dependencies"]["cluster"]]


if __name__ == "__main__":
    sys.stdout.write("\n".join(needed(Path(sys.argv[1]))) + "\n")
