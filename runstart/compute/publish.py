"""Publishes what a job has left: each file an object, and all of them named in its record at once, or none.

An algorithm may leave anything in its folders. Only plain files at their top are taken: links are never followed, and
what else is there is told in the log. Names are shown as they are, but never become part of a path as they are.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from runstart.compute.environments import ComputeEnvironment
from runstart.compute.folders import JobFolder
from runstart.compute.job_record import JobRecord, Result, ResultType
from runstart.compute.records import RESULTS
from runstart.compute.watching import Watch
from runstart.errors import Alert
from runstart.storage import ObjectStore

_PATIENCE_S = 60.0
_LONGEST_NAME = 150
_UNSAFE = re.compile(r"[^A-Za-z0-9._=@+-]")
_MOST_REMARKS = 50
_ADMIN_LOGS: dict[str, ResultType] = {
    "configure.log": "configrationLog",
    "filter.log": "filteringLog",
    "publish.log": "publishLog",
}


class PublishingFailed(Alert):
    """The results cannot be published."""


@dataclass(frozen=True)
class _File:
    """A file to publish."""

    path: Path
    type: ResultType
    n_bytes: int


def publish_all(
    record: JobRecord, environment: ComputeEnvironment, folder: JobFolder, store: ObjectStore, watch: Watch
) -> tuple[Result, ...]:
    """Publish the outputs and logs of a job that its owner wants, and return what was published.

    Parameters
    ----------
    record : JobRecord
        The job.
    environment : ComputeEnvironment
        How many results there may be, and how large.
    folder : JobFolder
        Where they are; none of the job's programs runs any more.
    store : ObjectStore
        Takes them.
    watch : Watch
        Ends it early.

    Raises
    ------
    PublishingFailed
        There are too many of them, or one is too large. Nothing is left in the store then, nor after any other error.
    """
    wanted = record.workflow.stage.output
    remarks: list[str] = []
    files: list[_File] = []
    if wanted.publish_output:
        files += _files_in(folder.outputs, "output", remarks)
    if len(files) > environment.max_results:
        raise PublishingFailed(
            f"The algorithm has left {len(files)} outputs; {environment.name} publishes {environment.max_results} at most.",
            "Put them into one archive.",
        )
    if wanted.publish_algorithm_log:
        files += _files_in(folder.logs, "algorithmLog", remarks)[: environment.max_results]
    _write_publish_log(folder, files, remarks)
    files += _admin_logs(folder)
    for file in files:
        if file.n_bytes > environment.max_result_bytes:
            raise PublishingFailed(
                f"The {file.type} {_shown(file.path.name)} has {file.n_bytes:,} bytes; {environment.name} publishes "
                f"{environment.max_result_bytes:,} at most.",
                "Split it.",
            )
    return _put_all(record.job_id, files, store, watch)


def publish_logs(
    record: JobRecord, environment: ComputeEnvironment, folder: JobFolder, store: ObjectStore, watch: Watch
) -> tuple[Result, ...]:
    """Publish the logs of a job that has failed, and return what was published.

    The algorithm's own are left out if a filter would have had to see them first.
    """
    files = _admin_logs(folder)
    if record.workflow.stage.output.publish_algorithm_log and not environment.filter_image:
        files += _files_in(folder.logs, "algorithmLog", [])[: environment.max_results]
    small = [file for file in files if file.n_bytes <= environment.max_result_bytes]
    return _put_all(record.job_id, small, store, watch)


def discard_results(store: ObjectStore, job_id: str) -> None:
    """Remove everything that was published of a job."""
    for key in store.list(f"{RESULTS}/{job_id}/"):
        store.delete(key)


def _put_all(job_id: str, files: list[_File], store: ObjectStore, watch: Watch) -> tuple[Result, ...]:
    try:
        return tuple(_put(job_id, index, file, store, watch) for index, file in enumerate(files))
    except BaseException:
        discard_results(store, job_id)
        raise


def _put(job_id: str, index: int, file: _File, store: ObjectStore, watch: Watch) -> Result:
    watch.check()
    data, name = _read(file), _shown(file.path.name)
    key = f"{RESULTS}/{job_id}/{index}/{_safe(name)}"
    watch.patiently(lambda: store.put(key, data), _PATIENCE_S)
    checksum = f"sha256:{hashlib.sha256(data).hexdigest()}"
    return Result(index=index, filename=name, filesize=len(data), type=file.type, checksum=checksum, key=key)


def _files_in(folder: Path, kind: ResultType, remarks: list[str]) -> list[_File]:
    """Return the plain files at the top of a folder by name, and remark what else is there."""
    found = []
    for entry in sorted(os.scandir(folder), key=lambda each: each.name):
        status = entry.stat(follow_symlinks=False)
        if stat.S_ISREG(status.st_mode):
            found.append(_File(Path(entry.path), kind, status.st_size))
        else:
            what = "a folder" if stat.S_ISDIR(status.st_mode) else "no plain file"
            remarks.append(f"{folder.name}/{_shown(entry.name)} is {what}: not published.")
    return found


def _admin_logs(folder: JobFolder) -> list[_File]:
    paths = ((folder.admin_logs / name, kind) for name, kind in _ADMIN_LOGS.items())
    return [_File(path, kind, path.stat().st_size) for path, kind in paths if path.is_file()]


def _write_publish_log(folder: JobFolder, files: list[_File], remarks: list[str]) -> None:
    lines = [f"{_shown(file.path.name)} ({file.type}, {file.n_bytes} bytes)" for file in files]
    lines += remarks[:_MOST_REMARKS]
    if len(remarks) > _MOST_REMARKS:
        lines.append(f"{len(remarks) - _MOST_REMARKS} more are not published.")
    (folder.admin_logs / "publish.log").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _read(file: _File) -> bytes:
    """Return a file that was plain a moment ago; a link or a pipe in its place is refused by the system."""
    descriptor = os.open(file.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with open(descriptor, "rb") as opened:  # noqa: PTH123 - a descriptor has no path
        return opened.read()


def _shown(name: str) -> str:
    """Return a name that can be shown and sent: printable, in UTF-8."""
    text = os.fsencode(name).decode("utf-8", "replace")
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def _safe(name: str) -> str:
    """Return a name that can be part of a key: what is not a letter, a digit or one of `._=@+-` becomes `_`."""
    safe = _UNSAFE.sub("_", name)[-_LONGEST_NAME:]
    return safe if safe.strip(".") else f"_{safe}"
