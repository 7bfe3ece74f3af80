"""Prints what the image's virtual environment is made of: `python requirements.py pyproject.toml`."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path


def needed(project: Path) -> list[str]:
    """Return the requirements of the library and of the extras `cluster` and `gateway`."""
    declared = tomllib.loads(project.read_text(encoding="utf-8"))["project"]
    extras = declared["optional-dependencies"]
    return [*declared["dependencies"], *extras["cluster"], *extras["gateway"]]


if __name__ == "__main__":
    sys.stdout.write("\n".join(needed(Path(sys.argv[1]))) + "\n")
