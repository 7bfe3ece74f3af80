"""Computes a request, or finds that it has been computed: the same request is never computed twice.

Inputs are checked first, and brought to this machine only as far as their digests are not known. Outputs are stored as
they are made; the entry that makes them count is put last. A kill at any moment leaves no entry, and the next attempt
begins anew.
"""

from __future__ import annotations

import contextlib
import errno
import inspect
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from runstart.errors import Alert, Transient
from runstart.fits import FitsReference, InputFiles, ResolvedFile
from runstart.operation_kit.declaration import Operation
from runstart.operation_kit.entry import Entry, OutputFile
from runstart.operation_kit.filters import check_filters
from runstart.operation_kit.flight import LEASE_SECONDS, Claim, claim_or_wait, publish
from runstart.operation_kit.keys import describe_request, make_key, order_files
from runstart.operation_kit.open_files import make_room
from runstart.operation_kit.outputs import Output, OutputImage, OutputPicture, Place, store_output
from runstart.operation_kit.scratch import scratch_folder
from runstart.operation_kit.work import FitsFile, Reporter, Silent, Work, bind
from runstart.storage import ObjectStore

FETCHED, COMPUTED = 0.3, 0.95  # of the progress: inputs are there; outputs are made
MEMORY_LIMIT = 2**30  # bytes
_DOWNLOADS = 8  # at once
_MOST_INPUTS_TOLD = 100  # in a header's HISTORY
_FULL = {errno.ENOSPC, errno.EDQUOT}


@dataclass(frozen=True)
class Workplace:
    """Where data operations are computed.

    Attributes
    ----------
    store : ObjectStore
        Keeps the entries.
    inputs : InputFiles
        Finds input files.
    scratch : Path
        Folder of this machine for temporary files.
    memory_limit : int
        Bytes that a stack may take.
    lease_seconds : float
        Silence after which another process may take over a computation.
    """

    store: ObjectStore
    inputs: InputFiles
    scratch: Path
    memory_limit: int = MEMORY_LIMIT
    lease_seconds: float = LEASE_SECONDS


@dataclass(frozen=True)
class Answer:
    """What a request got.

    Attributes
    ----------
    entry : Entry
        The outputs.
    computed : bool
        Whether they were computed for this request; False if they were there, or another process made them.
    """

    entry: Entry
    computed: bool


@dataclass(frozen=True)
class Request:
    """A request whose inputs are all known by their content.

    Attributes
    ----------
    operation : Operation
        What is asked for.
    values : mapping of str to object
        Checked inputs, in the order of the key.
    resolved : mapping of FitsReference to ResolvedFile
        The files.
    filters : mapping of FitsReference to str
        Filters of the files, where an input asks for them.
    made_of : mapping
        What the key is made of.
    """

    operation: Operation
    values: Mapping[str, Any]
    resolved: Mapping[FitsReference, ResolvedFile]
    filters: Mapping[FitsReference, str]
    made_of: Mapping[str, Any]

    @property
    def key(self) -> str:
        """The cache key."""
        return make_key(self.made_of)


def execute(
    operation: Operation, given: Mapping[str, Any], workplace: Workplace, reporter: Reporter | None = None
) -> Answer:
    """Return the outputs of a request, computed now or before.

    Parameters
    ----------
    operation : Operation
        The data operation.
    given : mapping of str to object
        Its inputs, as plain JSON.
    workplace : Workplace
        Store, inputs and scratch folder.
    reporter : Reporter, optional
        Is told of progress and outputs; outputs that were there already are told too.

    Raises
    ------
    Alert
        If the user can mend it: inputs that are not acceptable, files that are not what they should be.
    Transient
        If it passes by itself: a source or store that does not answer, a full disk.
    """
    reporter = Silent() if reporter is None else reporter
    request = prepare(operation, given, workplace.inputs, reporter)

    def tell_wait(seconds: float) -> None:
        reporter.progress(FETCHED, f"Another process computes the same; waiting since {seconds:.0f} s")

    won = claim_or_wait(workplace.store, request.key, on_wait=tell_wait, lease_seconds=workplace.lease_seconds)
    if isinstance(won, Entry):
        for output in won.outputs:
            reporter.output(output)
        reporter.progress(1.0, "Found in the cache")
        return Answer(won, computed=False)
    with won as claim, _full_disk_passes():
        made = _compute(request, workplace, claim, reporter)
        entry = publish(workplace.store, made)
    reporter.progress(1.0, "Done")
    return Answer(entry, computed=entry is made)


def prepare(
    operation: Operation, given: Mapping[str, Any], inputs: InputFiles, reporter: Reporter | None = None
) -> Request:
    """Check a request, and find its files and their digests.

    Raises
    ------
    Alert, Transient
        As `execute` does.
    """
    reporter = Silent() if reporter is None else reporter
    reporter.progress(0.0, "Checking the inputs")
    values = operation.check(given)
    references = {
        reference: None
        for key, declared in operation.inputs.items()
        for reference in declared.kind.references(values[key])
    }
    resolved = _resolve(list(references), inputs, reporter)
    filters = check_filters(operation, values, resolved, inputs)
    ordered = order_files(operation, values, resolved)
    made_of = describe_request(operation, ordered, resolved, filters)
    by_file = {reference: name for found in filters.values() for reference, name in found.items()}
    return Request(operation, ordered, resolved, by_file, made_of)


def _resolve(
    references: list[FitsReference], inputs: InputFiles, reporter: Reporter
) -> dict[FitsReference, ResolvedFile]:
    resolved = {}
    with ThreadPoolExecutor(_DOWNLOADS, "inputs") as pool:
        pending = {reference: pool.submit(inputs.resolve, reference) for reference in references}
        try:
            for number, (reference, future) in enumerate(pending.items(), start=1):
                resolved[reference] = future.result()
                reporter.progress(FETCHED * number / len(references), f"Found {resolved[reference].name}")
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return resolved


def _compute(request: Request, workplace: Workplace, claim: Claim, reporter: Reporter) -> Entry:
    began = time.monotonic()
    operation = request.operation
    make_room(sum(workplace.inputs.is_held_open(resolved) for resolved in request.resolved.values()))
    files = {
        reference: FitsFile(resolved, workplace.inputs, request.filters.get(reference, ""))
        for reference, resolved in request.resolved.items()
    }
    arguments = {key: bind(value, files) for key, value in request.values.items()}
    outputs: list[OutputFile] = []
    with scratch_folder(workplace.scratch) as scratch:
        place = Place(workplace.store, claim.folder, request.key, scratch, _history(request))
        work = Work(workplace.memory_limit, scratch, reporter, FETCHED, COMPUTED)
        with contextlib.closing(work), _made(operation, work, arguments) as made:
            for output, basename in _named(operation, made, request.key):
                outputs.append(store_output(place, output, basename))
                claim.check()
                reporter.output(outputs[-1])
    if not outputs:
        raise Alert(f"{operation.name} made nothing of these inputs.", "Choose others.")
    made_at = datetime.now(UTC).isoformat(timespec="seconds")
    seconds = time.monotonic() - began
    return Entry(request.key, request.made_of, _asked(request), tuple(outputs), seconds, made_at)


@contextlib.contextmanager
def _made(operation: Operation, work: Work, arguments: Mapping[str, Any]) -> Iterator[Any]:
    """Call the function; if it yields its outputs, end it before its files and its scratch folder go."""
    made = operation.function(work, **arguments)
    try:
        yield made
    finally:
        if inspect.isgenerator(made):
            made.close()


def _named(operation: Operation, made: Any, key: str) -> Iterator[tuple[Output, str]]:
    several = inspect.isgenerator(made)
    for index, output in enumerate(made if several else (made,), start=1):
        if not isinstance(output, (OutputImage, OutputPicture)):
            raise TypeError(f"{operation.slug} yields {type(output).__name__}, which is no output.")
        yield output, f"{key}-{index}" if several else key


def _asked(request: Request) -> dict[str, Any]:
    """Return the inputs with the files' names in the place of references."""

    def named(value: Any) -> Any:
        if isinstance(value, FitsReference):
            return value.name
        if isinstance(value, Mapping):
            return {key: named(item) for key, item in value.items()}
        return [named(item) for item in value] if isinstance(value, list) else value

    return {key: named(value) for key, value in request.values.items()}


def _history(request: Request) -> tuple[str, ...]:
    """Return where an output comes from, as lines of a header."""
    operation = request.operation
    lines = [f"Runstart {request.made_of['library']}: {operation.name}, version {operation.version}"]
    for key, declared in operation.inputs.items():
        references = declared.kind.references(request.values[key])
        lines += [f"{key}: {request.resolved[r].name} sha256 {request.resolved[r].sha256}" for r in references]
        if not references:
            lines.append(f"{key} = {request.values[key]}")
    if len(lines) > _MOST_INPUTS_TOLD:
        more = len(lines) - _MOST_INPUTS_TOLD
        lines = [*lines[:_MOST_INPUTS_TOLD], f"... and {more} more; `runstart operations show` lists them"]
    return tuple(lines)


@contextlib.contextmanager
def _full_disk_passes() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise Transient(f"The disk of the scratch folder is full: {error.filename!r}.") from error
        raise
