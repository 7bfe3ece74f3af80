"""What a pod can be shown of the files of whoever starts it: those that lie on volumes of the cluster.

A path here says nothing to a node, so a setting maps folders to volumes: claims, or folders of the nodes themselves, which
only a cluster of one node shares. The longest prefix wins, and what lies below it is shown alone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from runstart.errors import Alert
from runstart.launchers.launcher import Mount

_ENTRY = re.compile(r"(?P<path>/[^=]*)=(?P<kind>pvc|host):(?P<source>[^:]+)(?P<read_only>:ro)?")
_CLAIM = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_EXAMPLE = "/output=pvc:runstart-output, /archive=pvc:runstart-archive:ro"


@dataclass(frozen=True)
class MappedFolder:
    """A folder here that lies on a volume of the cluster.

    Attributes
    ----------
    path : PurePosixPath
        Where it is here.
    kind : str
        `pvc` for a claim of the tasks' namespace, `host` for a folder of each node.
    source : str
        Name of the claim, or path of the folder.
    is_read_only : bool
        Whether no task may write it.
    """

    path: PurePosixPath
    kind: Literal["pvc", "host"]
    source: str
    is_read_only: bool


def read_volumes(text: str) -> tuple[MappedFolder, ...]:
    """Return the folders that a setting maps: entries `PATH=pvc:CLAIM` or `PATH=host:PATH`, `:ro` after them if read-only.

    Raises
    ------
    Alert
        An entry does not have its form, or a path is mapped twice.
    """
    folders = [_read_entry(entry.strip()) for entry in text.split(",") if entry.strip()]
    if len({folder.path for folder in folders}) < len(folders):
        raise Alert(f"RUNSTART_LAUNCHER_VOLUMES maps a path twice: {text[:400]!r}.", "Give each path one volume.")
    return tuple(folders)


def show_mounts(mounts: Sequence[Mount], folders: Sequence[MappedFolder]) -> tuple[list[Any], list[Any]]:
    """Return the volumes of a pod and the mounts of its container.

    Parameters
    ----------
    mounts : sequence of Mount
        What the task is to see.
    folders : sequence of MappedFolder
        What lies on volumes.

    Raises
    ------
    Alert
        A mount lies on no volume, or on one that is read-only though the task may write it.
    """
    volumes: dict[str, Any] = {}
    shown = []
    for mount in mounts:
        folder, below = _find(mount, folders)
        claim = None if folder.kind == "host" else folder.source
        path = str(PurePosixPath(folder.source) / below)
        # A claim is one volume of a pod, however often it is mounted.
        name = f"volume-{len(volumes)}"
        known = volumes.setdefault(claim or path, _volume(name, claim, path))
        one = {"name": known["name"], "mountPath": mount.target, "readOnly": not mount.writable}
        if claim is not None and below.parts:
            one["subPath"] = str(below)
        shown.append(one)
    return list(volumes.values()), shown


def _volume(name: str, claim: str | None, path: str) -> Any:
    if claim is None:
        return {"name": name, "hostPath": {"path": path}}
    return {"name": name, "persistentVolumeClaim": {"claimName": claim}}


def _find(mount: Mount, folders: Sequence[MappedFolder]) -> tuple[MappedFolder, PurePosixPath]:
    source, target = PurePosixPath(mount.source), PurePosixPath(mount.target)
    for path in (source, target):
        if not path.is_absolute() or ".." in path.parts or ":" in str(path):
            raise Alert(
                f"{str(path)!r} cannot be shown to a pod: it must be a whole path, without .. and colons.",
                "Correct the path.",
            )
    above = [folder for folder in folders if source.is_relative_to(folder.path)]
    if not above:
        known = ", ".join(str(folder.path) for folder in folders) or "none"
        raise Alert(
            f"{source} lies on no volume of the cluster, so no pod can be shown it: what lies on volumes is {known}.",
            f"Use a path below those, or have RUNSTART_LAUNCHER_VOLUMES map it ({_EXAMPLE}).",
        )
    folder = max(above, key=lambda each: len(each.path.parts))
    if mount.writable and folder.is_read_only:
        raise Alert(f"{source} is read-only for every task: it lies below {folder.path}.", "Write elsewhere.")
    if folder.kind == "host" and not Path(source).exists():
        # A node would make it.
        raise Alert(f"{source} does not exist, so no pod can be shown it.", "Correct the path, or make it.")
    return folder, source.relative_to(folder.path)


def _read_entry(text: str) -> MappedFolder:
    found = _ENTRY.fullmatch(text)
    remedy = f"Write entries like {_EXAMPLE}."
    if found is None or ".." in PurePosixPath(found["path"]).parts:
        raise Alert(f"RUNSTART_LAUNCHER_VOLUMES has the entry {text[:200]!r}.", remedy)
    source = found["source"]
    if found["kind"] == "pvc":
        if not _CLAIM.fullmatch(source):
            raise Alert(
                f"RUNSTART_LAUNCHER_VOLUMES names the claim {source[:200]!r}, which no claim can be.", remedy
            )
        return MappedFolder(PurePosixPath(found["path"]), "pvc", source, found["read_only"] is not None)
    if not source.startswith("/") or ".." in PurePosixPath(source).parts:
        raise Alert(f"RUNSTART_LAUNCHER_VOLUMES names the folder {source[:200]!r}, which is no whole path.", remedy)
    return MappedFolder(PurePosixPath(found["path"]), "host", source, found["read_only"] is not None)
