"""Brings a job's data and its algorithm into its folder: by address, from the object store, from data operations.

All inputs together have the room that the environment gives, whatever a server says of their size. A checksum that was
sent along must fit. What is written can be read by everybody, since an image's user may be another.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from runstart.compute.environments import ComputeEnvironment
from runstart.compute.folders import JobFolder
from runstart.compute.job_record import JobRecord
from runstart.compute.requests import is_offered
from runstart.compute.watching import Watch
from runstart.compute.web_source import download
from runstart.errors import Alert, Transient
from runstart.fits.reference import without_secrets
from runstart.storage import ObjectMissing, ObjectStore, check_key

_PATIENCE_S = 30.0
_LARGEST_ALGORITHM = 100_000_000
_PIECE_BYTES = 8 * 1024 * 1024
_MODE = 0o644
_PROGRAM_MODE = 0o755


class DataProvisioningFailed(Alert):
    """An input could not be brought."""


class AlgorithmProvisioningFailed(Alert):
    """The algorithm could not be brought."""


@dataclass(frozen=True)
class Fetched:
    """A file that was brought.

    Attributes
    ----------
    place : str
        Where it lies, below the job's folder.
    origin : str
        Its address, without its secrets.
    n_bytes : int
        Its size.
    sha256 : str
        Its digest in hexadecimal digits.
    """

    place: str
    origin: str
    n_bytes: int
    sha256: str


def provision(
    record: JobRecord, environment: ComputeEnvironment, folder: JobFolder, store: ObjectStore, watch: Watch
) -> list[Fetched]:
    """Bring everything that a job needs, and return what was brought.

    Parameters
    ----------
    record : JobRecord
        The job.
    environment : ComputeEnvironment
        Its limits, and what of the store it may read.
    folder : JobFolder
        Takes the files.
    store : ObjectStore
        The facility's.
    watch : Watch
        Ends it early.

    Raises
    ------
    DataProvisioningFailed, AlgorithmProvisioningFailed
        Something cannot be had, or is not what its checksum says.
    """
    source = _Source(environment, store, watch)
    fetched: list[Fetched] = []
    left = environment.disk_bytes
    for each in record.workflow.stage.input:
        place = folder.inputs / each.folder
        place.mkdir(mode=_PROGRAM_MODE)
        for number, url in enumerate(each.url):
            checksum = each.checksum[number] if each.checksum else ""
            try:
                file = source.fetch(url, place / str(number), checksum, left, folder)
            except (Alert, Transient) as problem:
                raise DataProvisioningFailed(str(problem)) from problem
            left -= file.n_bytes
            fetched.append(file)
        _write_text(folder.ddos / each.folder, json.dumps(_describe(each.id, fetched, place.name)))
    try:
        fetched += _provision_algorithm(record, folder, source)
    except (Alert, Transient) as problem:
        raise AlgorithmProvisioningFailed(str(problem)) from problem
    custom = record.workflow.stage.algorithm.algocustomdata
    if custom is not None:
        _write_text(folder.inputs / "algoCustomData.json", json.dumps(custom))
    return fetched


def _provision_algorithm(record: JobRecord, folder: JobFolder, source: _Source) -> Iterable[Fetched]:
    """Bring the algorithm: its code, or its files, of which the first is what `$ALGO` means."""
    algorithm = record.workflow.stage.algorithm
    if algorithm.raw_code is not None:
        data = algorithm.raw_code.encode()
        folder.algorithm.write_bytes(data)
        folder.algorithm.chmod(_PROGRAM_MODE)
        return [Fetched("transformations/algorithm", "rawcode", len(data), hashlib.sha256(data).hexdigest())]
    fetched = []
    for number, url in enumerate(algorithm.url):
        path = folder.algorithm if number == 0 else folder.transformations / str(number)
        checksum = algorithm.checksum[number] if algorithm.checksum else ""
        fetched.append(source.fetch(url, path, checksum, _LARGEST_ALGORITHM, folder))
        path.chmod(_PROGRAM_MODE)
    return fetched


@dataclass(frozen=True)
class _Source:
    """Gets files by their addresses."""

    environment: ComputeEnvironment
    store: ObjectStore
    watch: Watch

    def fetch(self, url: str, path: Path, checksum: str, most_bytes: int, folder: JobFolder) -> Fetched:
        """Write what an address means to a file."""
        self.watch.check()
        sha256 = self.watch.patiently(lambda: self._get(url, path, most_bytes), _PATIENCE_S)
        shown = without_secrets(url) if url.startswith("http") else url
        if checksum and checksum != f"sha256:{sha256}":
            raise Alert(f"{shown} has the digest sha256:{sha256}, not {checksum}.", "Correct one or the other.")
        path.chmod(_MODE)
        return Fetched(path.relative_to(folder.top).as_posix(), shown, path.stat().st_size, sha256)

    def _get(self, url: str, path: Path, most_bytes: int) -> str:
        kind, _, rest = url.partition(":")
        if kind in ("http", "https"):
            hosts = self.environment.internal_hosts
            return download(url, path, most_bytes=most_bytes, internal_hosts=hosts, check=self.watch.check)
        return self._copy(self._key_of(kind, rest), url[:200], path, most_bytes)

    def _key_of(self, kind: str, text: str) -> str:
        """Return the object that an address of ours means.

        Raises
        ------
        Alert
            It means none, or one that the environment does not offer.
        """
        try:
            check_key(text)
        except ValueError:
            raise Alert(f"{text[:200]!r} is not the name of an object.", "Correct the address.") from None
        if kind == "store" and is_offered(text, self.environment):
            return text
        if kind == "operation" and self.environment.operation_outputs:
            return _output_of(self.store, text)
        raise Alert(f"{kind}:{text[:200]} is not offered by {self.environment.name}.", "Ask the data owner for it.")

    def _copy(self, key: str, shown: str, path: Path, most_bytes: int) -> str:
        """Write an object to a file in pieces, and return its digest; all of them are of one version."""
        version = self.store.head(key)
        if version is None:
            raise Alert(f"There is no {shown}.", "Correct the address, or make it first.")
        digest, n_bytes = hashlib.sha256(), 0
        with path.open("wb") as file:
            while piece := self._read_piece(key, n_bytes):
                n_bytes += len(piece)
                if n_bytes > most_bytes:
                    raise Alert(
                        f"{shown} is larger than the {most_bytes:,} bytes that are left for inputs.",
                        "Choose less data, or an environment with more room.",
                    )
                file.write(piece)
                digest.update(piece)
                self.watch.check()
        if self.store.head(key) != version:
            raise Transient(f"{shown} was changed while it was read.")
        return digest.hexdigest()

    def _read_piece(self, key: str, start: int) -> bytes:
        try:
            return self.store.get_part(key, start, start + _PIECE_BYTES)
        except ObjectMissing:
            return b""  # it was removed meanwhile


def _output_of(store: ObjectStore, text: str) -> str:
    """Return the object of an output of a data operation, written `BASENAME` or `BASENAME/fits`, `/large`, `/tif`…."""
    from runstart.operation_kit.entry import load_entry
    from runstart.operation_kit.keys import is_key

    basename, _, form = text.partition("/")
    key = basename.partition("-")[0]
    entry = load_entry(store, key) if is_key(key) else None
    for output in entry.outputs if entry is not None else ():
        if output.basename == basename and (form or "fits") in output.objects:
            return output.objects[form or "fits"]
    raise Alert(f"No data operation has made {text[:200]!r}.", "Compute it first.")


def _describe(identifier: str, fetched: Iterable[Fetched], name: str) -> dict[str, object]:
    """Return what an algorithm is told of an input: nothing that the data owner has not given it anyway."""
    files = [
        {"file": file.place, "bytes": file.n_bytes, "checksum": f"sha256:{file.sha256}"}
        for file in fetched
        if file.place.startswith(f"inputs/{name}/")
    ]
    return {"id": identifier, "files": files}


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    path.chmod(_MODE)
