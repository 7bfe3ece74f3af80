"""The folder of a session on its machine: named after the session, and marked as ours by a file inside.

What cleans up removes only folders that carry both, so that nothing else under the temporary folder is ever touched.
Names are short: the sockets of a session lie inside, and a socket's path has at most 107 bytes.
"""

from __future__ import annotations

import json
import os
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from runstart.host import is_alive
from runstart.launchers.removal import remove_tree
from runstart.sessions.records import SessionRecord, is_session_id

_PREFIX = "rs-"
_MARKER = "runstart-session.json"


@dataclass(frozen=True)
class SessionFolder:
    """A folder of a session that is there.

    Attributes
    ----------
    path : Path
        Where it is.
    session_id : str
        The session's name.
    store_id : str
        Which store has its record.
    made_at : float
        Unix time in seconds.
    is_in_use : bool
        Whether the process that made it still runs.
    """

    path: Path
    session_id: str
    store_id: str
    made_at: float
    is_in_use: bool


def make_session_folder(record: SessionRecord, store_id: str) -> Path:
    """Make the folder of a session, open to its owner only, and return it.

    Raises
    ------
    FileExistsError
        The session has one already.
    """
    folder = Path(tempfile.gettempdir()) / f"{_PREFIX}{record.session_id}"
    folder.mkdir(mode=0o700)
    marker = {
        "session": record.session_id,
        "store": store_id,
        "made_at": record.started_at,
        "pid": record.pid,
    }
    try:
        (folder / _MARKER).write_text(json.dumps(marker))
    except BaseException:
        # Without its mark nobody would ever remove it.
        remove_tree(folder)
        raise
    return folder


def find_session_folders() -> list[SessionFolder]:
    """Return the folders of sessions on this machine, whoever has made them."""
    candidates = sorted(Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"))
    return [folder for path in candidates if (folder := _read(path)) is not None]


def remove_session_folder(folder: Path) -> None:
    """Remove a session's folder with everything in it; nothing if it is gone, or is none."""
    if _read(folder) is not None:
        remove_tree(folder)


def _read(path: Path) -> SessionFolder | None:
    session_id = path.name.removeprefix(_PREFIX)
    if not is_session_id(session_id) or path.name != f"{_PREFIX}{session_id}":
        return None
    try:
        status = path.lstat()
        marker = json.loads((path / _MARKER).read_bytes())
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or marker["session"] != session_id:
            return None
        made_at = float(marker["made_at"])
        return SessionFolder(path, session_id, str(marker["store"]), made_at, is_alive(int(marker["pid"]), made_at))
    except (OSError, ValueError, TypeError, KeyError):
        return None
