"""Shows a data operation while it is computed: progress lines, and each output with its picture as it is made.

Lines come at most once a second at first, then less and less often, so that an hour's work is some two hundred lines.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg

from ops.metadata import plain_markdown, show_jpeg
from ops.pictures import fit_jpeg

if TYPE_CHECKING:
    from runstart.operation_kit import Answer, OutputFile
    from runstart.storage import ObjectStore

FIRST_INTERVAL = 1.0  # seconds between progress lines
LARGEST_INTERVAL = 30.0
INTERVAL_GROWTH = 1.1
PICTURES_BUDGET = 5_000_000  # bytes of pictures in Dagster's event log, for one computation
MOST_EVENTS = 200  # outputs that are events of their own; all are in the final table
MOST_LARGE_PICTURES = 20  # outputs whose picture is more than the small JPEG


class ProgressLines:
    """Writes lines of progress, at most one for each interval, which grows.

    Parameters
    ----------
    write : callable
        Takes a line.
    """

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write = write
        self._next = 0.0
        self._interval = FIRST_INTERVAL

    def progress(self, fraction: float, message: str) -> None:
        """Write a line, if it is time for one; the last one always."""
        now = time.monotonic()
        if now < self._next and fraction < 1.0:
            return
        self._next = now + self._interval
        self._interval = min(self._interval * INTERVAL_GROWTH, LARGEST_INTERVAL)
        self._write(f"{fraction:4.0%}  {message}")


class OperationReporter(ProgressLines):
    """Tells Dagster of one computation.

    Parameters
    ----------
    context : dagster.OpExecutionContext
        The step.
    store : ObjectStore
        Keeps the pictures.
    asset_key : dagster.AssetKey
        Under which outputs are listed in Dagster's catalog.
    note : callable, optional
        Takes every progress, for those who follow it elsewhere.
    """

    def __init__(
        self,
        context: dg.OpExecutionContext,
        store: ObjectStore,
        asset_key: dg.AssetKey,
        note: Callable[[float, str], object] = lambda _fraction, _message: None,
    ) -> None:
        super().__init__(context.log.info)
        self._note = note
        self._context = context
        self._store = store
        self._asset_key = asset_key
        self._room = PICTURES_BUDGET
        self._events = 0

    def progress(self, fraction: float, message: str) -> None:
        """Write a line, if it is time for one, and note it."""
        self._note(fraction, message)
        super().progress(fraction, message)

    def output(self, output: OutputFile) -> None:
        """List an output in the catalog, with its picture on the run's page."""
        self._events += 1
        if self._events > MOST_EVENTS:
            return
        name = plain_markdown(output.label or output.basename)
        metadata = describe_output(output, self._picture(output))
        self._context.log_event(dg.AssetMaterialization(self._asset_key, description=name, metadata=metadata))

    def _picture(self, output: OutputFile) -> bytes:
        """Return a JPEG for the event log; empty once its budget is spent."""
        if self._room <= 0:
            return b""
        if self._events <= MOST_LARGE_PICTURES:
            picture = fit_jpeg(self._store.get(output.objects["large"]).data)
        else:
            picture = self._store.get(output.objects["small"]).data
        self._room -= len(picture)
        return picture if self._room >= 0 else b""


def describe_output(output: OutputFile, picture: bytes = b"") -> dict[str, Any]:
    """Return what the pages show of an output: pictures, then figures, then where it is.

    Parameters
    ----------
    output : OutputFile
        The output.
    picture : bytes, optional
        A JPEG that is shown at a click; the thumbnail stands in its place on the asset's page.
    """
    metadata: dict[str, Any] = {"picture": dg.MetadataValue.md(output.thumbnail)} if output.thumbnail else {}
    if picture:
        metadata["larger picture"] = show_jpeg(picture, output.label or output.basename)
    metadata |= for_people(output.figures)
    return metadata | {"basename": output.basename, "objects": dg.MetadataValue.json(dict(output.objects))}


def for_people(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Return figures with spaces in their names."""
    return {name.replace("_", " "): value for name, value in figures.items()}


def describe_answer(answer: Answer) -> dict[str, Any]:
    """Return what the pages show of a request that was answered."""
    entry = answer.entry
    rows = [
        dg.TableRecord({"output": o.label or o.basename, "type": o.type, "basename": o.basename})
        for o in entry.outputs
    ]
    metadata: dict[str, Any] = {}
    if len(entry.outputs) == 1 and entry.outputs[0].thumbnail:
        metadata["picture"] = dg.MetadataValue.md(entry.outputs[0].thumbnail)
    return metadata | {
        "outputs": dg.MetadataValue.table(rows),
        "from cache": not answer.computed,
        "seconds to compute": round(entry.seconds, 3),
        "key": entry.key,
        "made of": dg.MetadataValue.json(dict(entry.made_of)),
    }
