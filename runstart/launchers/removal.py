"""Removes what a task has left in its folders, whatever it has made there.

Nothing is recursive and no path grows long: what lies deep is moved up first. Links are removed, never followed.
The task's processes must be gone.
"""

from __future__ import annotations

import os
from pathlib import Path
from uuid import uuid4


def remove_tree(top: str | Path) -> None:
    """Remove a folder with all that is below, however deep and with whatever permissions; nothing if it is gone.

    Parameters
    ----------
    top : str or Path
        The folder; a file or a link that has taken its place is removed like it.

    Raises
    ------
    OSError
        Something below belongs to another user.
    """
    top = Path(top)
    if top.is_symlink() or not top.is_dir():
        top.unlink(missing_ok=True)
        return
    top.chmod(0o700)
    while folders := _folders_left(top):
        for folder in folders:
            for deeper in _folders_left(folder):
                # A name that the task cannot have given.
                deeper.rename(top / uuid4().hex)
            folder.rmdir()
    top.rmdir()


def _folders_left(folder: Path) -> list[Path]:
    """Remove all files and links of a folder, and return its folders, opened to their owner."""
    folders = []
    with os.scandir(folder) as listing:
        entries = list(listing)
    for entry in entries:
        path = Path(entry.path)
        if entry.is_dir(follow_symlinks=False):
            # A closed folder can be neither read nor moved.
            path.chmod(0o700)
            folders.append(path)
        else:
            path.unlink()
    return folders
