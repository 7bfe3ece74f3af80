"""Mount parameters: files and folders of this machine that an operator is shown, each as its data folder's entry.

A container sees a mount read-only, unless its parameter says `"writable": true` or its name begins with `output`; a
plain process sees a link, and has the rights of the user who runs it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runstart.errors import Alert
from runstart.launchers import Mount

if TYPE_CHECKING:
    from runstart.pipelines import Stage

IN_CONTAINER = "/mnt"
"""Data folder of an operator in a container."""


def mount_parameters(stage: Stage) -> set[str]:
    """Return the names of a stage's mount parameters."""
    return {parameter.name for parameter in stage.spec.parameters if parameter.type == "mount"}


def mounts_of(stage: Stage, values: Mapping[str, Any], roots: tuple[Path, ...] | None) -> dict[str, Mount]:
    """Check the mount parameters of a stage.

    Parameters
    ----------
    stage : Stage
        The operator.
    values : mapping of str to Any
        Its parameters' values; a mount that is empty and not required is left out.
    roots : tuple of Path or None
        Folders inside which mounts must lie; None for anywhere.

    Returns
    -------
    dict of str to Mount
        By parameter.

    Raises
    ------
    Alert
        If a path is missing, relative, or outside the roots; it names operator and parameter.
    """
    mounts = {}
    for parameter in stage.spec.parameters:
        if parameter.type != "mount":
            continue
        text = values.get(parameter.name)
        if not text and not parameter.required:
            continue
        source = _checked(str(text or ""), roots, f"The parameter {parameter.name} of {stage.name}")
        writable = bool(getattr(parameter, "writable", False)) or parameter.name.startswith("output")
        mounts[parameter.name] = Mount(source, f"{IN_CONTAINER}/{parameter.name}", writable=writable)
    return mounts


def link_mounts(folder: Path, mounts: Mapping[str, Mount]) -> None:
    """Make a folder's entries links to the mounts' sources, and to nothing else."""
    folder.mkdir(parents=True, exist_ok=True)
    for entry in folder.iterdir():
        if entry.name not in mounts:
            entry.unlink()
    for name, mount in mounts.items():
        fresh = folder / f".{name}.new"
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(mount.source)
        fresh.replace(folder / name)


def _checked(text: str, roots: tuple[Path, ...] | None, what: str) -> Path:
    path = Path(text)
    if "\0" in text or not path.is_absolute():
        raise Alert(f"{what} is {text!r}, which is not an absolute path.", "Give the whole path, beginning with /.")
    # With links resolved: a link must not lead out of the roots.
    source = Path(os.path.realpath(path))
    if roots is not None and not any(source.is_relative_to(os.path.realpath(root)) for root in roots):
        allowed = ", ".join(map(str, roots)) or "nothing"
        raise Alert(f"{what} is {text!r}, which lies outside what operators may see.", f"Choose from: {allowed}.")
    if not _exists(source):
        raise Alert(f"{what} is {text!r}, which does not exist on this machine.", "Correct the path.")
    return source


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        return False  # its name is too long, or it is hidden from this user
