"""Finds pipelines: the JSON files in the folder `pipelines` of each folder of operators."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

PIPELINES_FOLDER = "pipelines"


def find_pipelines(folders: Iterable[Path]) -> dict[str, Path]:
    """Return the files of pipelines by name, which is the file's without `.json`, in the order of their names.

    Parameters
    ----------
    folders : iterable of Path
        Folders of operators. Of two pipelines with one name the first folder's counts.
    """
    found: dict[str, Path] = {}
    for folder in folders:
        for file in sorted((folder / PIPELINES_FOLDER).glob("*.json")):
            found.setdefault(file.stem, file)
    return dict(sorted(found.items()))
