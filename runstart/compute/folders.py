"""The folder of a compute job on the machine that runs it: what the algorithm sees of it, and what it does not.

It is named after the job and marked with the store that knows the job: what cleans up removes only folders that carry
both. What a run writes for itself lies where no algorithm can put a link in its way.
"""

from __future__ import annotations

import os
import re
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from runstart.launchers.removal import remove_tree

FOLDER_VARIABLE = "RUNSTART_COMPUTE_FOLDER"

_PREFIX = "rs-job-"
_MARKER = "store"
_NAME = re.compile(rf"{_PREFIX}([0-9a-f]{{32}})")


@dataclass(frozen=True)
class JobFolder:
    """The folder of a job.

    Attributes
    ----------
    top : Path
        The folder itself.
    """

    top: Path

    @property
    def inputs(self) -> Path:
        """Data, a folder for each input."""
        return self.top / "inputs"

    @property
    def transformations(self) -> Path:
        """The algorithm."""
        return self.top / "transformations"

    @property
    def ddos(self) -> Path:
        """Descriptions of the inputs."""
        return self.top / "ddos"

    @property
    def outputs(self) -> Path:
        """What the algorithm leaves."""
        return self.top / "outputs"

    @property
    def logs(self) -> Path:
        """Logs that the algorithm writes."""
        return self.top / "logs"

    @property
    def work(self) -> Path:
        """Room for what is not kept."""
        return self.top / "work"

    @property
    def admin_logs(self) -> Path:
        """Logs of the run itself; no task sees them."""
        return self.top / "adminlogs"

    @property
    def algorithm(self) -> Path:
        """The algorithm's file."""
        return self.transformations / "algorithm"


def jobs_root(environ: Mapping[str, str]) -> Path:
    """Return the folder in which the folders of jobs are made: `RUNSTART_COMPUTE_FOLDER`, or the temporary folder."""
    return Path(environ.get(FOLDER_VARIABLE) or tempfile.gettempdir())


def make_job_folder(root: Path, job_id: str, store_id: str) -> JobFolder:
    """Make the folder of a job, open to its owner only.

    Raises
    ------
    FileExistsError
        The job has one already.
    """
    folder = open_job_folder(root, job_id)
    root.mkdir(parents=True, exist_ok=True)
    folder.top.mkdir(mode=0o700)
    (folder.top / _MARKER).write_text(store_id)
    for path in (
        folder.inputs,
        folder.transformations,
        folder.ddos,
        folder.outputs,
        folder.logs,
        folder.work,
        folder.admin_logs,
    ):
        path.mkdir(mode=0o755)
    return folder


def open_job_folder(root: Path, job_id: str) -> JobFolder:
    """Return the folder of a job, which may be there or not."""
    return JobFolder(root / f"{_PREFIX}{job_id}")


def find_job_folders(root: Path, store_id: str) -> dict[str, Path]:
    """Return the folders on this machine of jobs that a store knows, by job."""
    found = {}
    for path in sorted(root.glob(f"{_PREFIX}*")):
        name = _NAME.fullmatch(path.name)
        if name is not None and _is_of(path, store_id):
            found[name[1]] = path
    return found


def remove_job_folder(path: Path) -> None:
    """Remove a folder with all that is in it; nothing if it is gone."""
    remove_tree(path)


def _is_of(path: Path, store_id: str) -> bool:
    try:
        status = path.lstat()
        is_ours = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()
        return is_ours and (path / _MARKER).read_text() == store_id
    except OSError:
        return False  # it is being made, or being removed
