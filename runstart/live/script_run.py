"""Executes an instrument's reduction script on a run: again and again while it is live, and once at its end.

The script sees a copy, in a process of its own. Counting only makes the copy: whatever the script does, no event
waits for it. A new version of the script is taken at the next execution.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runstart.errors import Alert, Transient
from runstart.instruments import Script
from runstart.live.finished import find_previous
from runstart.live.head import read_head
from runstart.live.record import RunRecord
from runstart.live.result import NEXUS_NAME
from runstart.storage import ObjectMissing, ObjectStore

if TYPE_CHECKING:
    from runstart.launchers import Launcher
    from runstart.live.kept_events import KeptEvents
    from runstart.live.status import LogsSoFar
    from runstart.product import RunProduct, StoredProduct
    from runstart.scripts import ScriptOutcome

FIRST_FETCH_SECONDS = 30.0  # a finished run waits so long for a script that has not been fetched yet


@dataclass(frozen=True)
class ShownOutcome:
    """What one execution of a script gave to look at.

    Attributes
    ----------
    outcome : ScriptOutcome
        What the script returned and printed, and what went wrong.
    pictures : dict of str to bytes
        PNG pictures by file name.
    thumbnails : dict of str to str
        Small pictures as markdown, by name.
    """

    outcome: ScriptOutcome
    pictures: dict[str, bytes]
    thumbnails: dict[str, str]


class ScriptRun:
    """The reduction script of one run; all calls come from the run's own thread.

    Parameters
    ----------
    script : Script
        As the instrument declares it.
    record : RunRecord
        The run.
    store : ObjectStore
        Holds the runs that it is compared with.
    launcher : Launcher
        Starts the script's process.
    environ : Mapping of str to str
        Holds the token of the source, if it needs one.

    Attributes
    ----------
    remarks : list of str
        What the user should know; the caller takes them.
    """

    def __init__(
        self, script: Script, record: RunRecord, store: ObjectStore, launcher: Launcher, environ: Mapping[str, str]
    ) -> None:
        from runstart.scripts import ScriptKeeper

        self.remarks: list[str] = []
        self._script = script
        self._record = record
        self._store = store
        self._launcher = launcher
        self._keeper = ScriptKeeper(script, environ)
        self._metadata = _metadata_of(record)
        self._others: tuple[StoredProduct | None, StoredProduct | None] | None = None
        self._thread: threading.Thread | None = None
        self._shown: ShownOutcome | None = None
        self._failure: str | None = None
        self._last: ScriptOutcome | None = None
        self._next = 0.0

    def start(self) -> None:
        """Begin to fetch the script."""
        self._keeper.start()

    def stop(self) -> None:
        """Fetch no more."""
        self._keeper.stop()

    @property
    def is_due(self) -> bool:
        """Whether it is time for an execution, and none is going on."""
        busy = self._thread is not None and self._thread.is_alive()
        return not busy and self._keeper.current is not None and time.monotonic() >= self._next

    def begin(self, product: RunProduct, events: KeptEvents | None, logs: LogsSoFar) -> None:
        """Execute the script in a thread of its own.

        Parameters
        ----------
        product : RunProduct
            A copy that nobody changes.
        events : KeptEvents or None
            The newest events.
        logs : callable
            Returns the logs so far; called in that thread.
        """
        self._next = time.monotonic() + self._script.interval
        self._thread = threading.Thread(
            target=self._work, args=(product, events, logs, False), name="script", daemon=True
        )
        self._thread.start()

    def take_shown(self) -> ShownOutcome | None:
        """Return what a finished execution gave, once."""
        shown, self._shown = self._shown, None
        return shown

    def finish(self, product: RunProduct, events: KeptEvents | None) -> ShownOutcome | None:
        """Execute the script on the finished run and return what it gave; None if that could not be done."""
        if self._thread is not None:
            self._thread.join()
        self._keeper.wait(FIRST_FETCH_SECONDS)
        if self._keeper.current is None:
            self.remarks.append(f"The run ends without its reduction script. {self._keeper.trouble or ''}".rstrip())
            return None
        self._shown = None
        self._work(product, events, lambda: product.logs, True)
        return self.take_shown()

    @property
    def trouble(self) -> str | None:
        """What a person should look at: the script fails, or cannot be fetched."""
        if self._failure is not None:
            return self._failure
        if self._last is not None and self._last.error:
            return self._last.error
        return self._keeper.trouble

    @property
    def last_error(self) -> str:
        """What the last execution ended with; empty if all is well."""
        return "" if self._last is None else self._last.error

    def status(self) -> dict[str, Any]:
        """Return the figures of the last execution."""
        current, last = self._keeper.current, self._last
        return {
            "sha256": current.sha256 if current is not None else None,
            "executed_at": last.executed_at if last is not None else None,
            "seconds": last.seconds if last is not None else None,
            "error": self.trouble,
            "isolation": last.isolation if last is not None else "",
        }

    def _work(self, product: RunProduct, events: KeptEvents | None, logs: LogsSoFar, finished: bool) -> None:
        from runstart.scripts import ScriptInput, execute
        from runstart.scripts.pictures import script_pictures, script_thumbnails

        fetched = self._keeper.current
        if fetched is None:
            raise AssertionError("A script is executed only once it has been fetched.")
        try:
            if self._others is None:
                self._others = self._load_others()
            previous, reference = self._others
            given = ScriptInput.from_product(
                product,
                metadata=self._metadata,
                logs=logs(),
                events=events,
                previous=previous,
                reference=reference,
                finished=finished,
            )
            outcome = execute(self._script, fetched, given, self._launcher)
            if outcome.remark and (self._last is None or self._last.remark != outcome.remark):
                self.remarks.append(outcome.remark)
            self._last = outcome
            self._shown = ShownOutcome(outcome, script_pictures(outcome), script_thumbnails(outcome))
            self._failure = None
        except (Alert, Transient) as error:
            self._failure = f"The reduction script could not be executed: {error}"
        except OSError as error:  # its text may hold a random path, and be new each time
            self._failure = f"The reduction script could not be executed: {error.strerror or type(error).__name__}"
        except Exception as error:  # noqa: BLE001 - a script must never cost an event; the log says why
            self._failure = f"The reduction script could not be executed: {error!r}"

    def _load_others(self) -> tuple[StoredProduct | None, StoredProduct | None]:
        """Return the previous and the reference run; a reference that is not there is told."""
        instrument, key = self._record.instrument, self._record.partition_key
        before = find_previous(self._store, instrument, key)
        previous = None if before is None else self._load(before)
        reference = None
        if self._script.reference is not None:
            reference = self._load(self._script.reference)
            if reference is None:
                self.remarks.append(f"The reference run {self._script.reference} of {instrument} has no result.")
        return previous, reference

    def _load(self, partition_key: str) -> StoredProduct | None:
        from runstart.product import read_product

        current = read_head(self._store, self._record.instrument, partition_key).current
        if current is None:
            return None
        try:
            return read_product(self._store.get(f"{current.folder}/{NEXUS_NAME}").data)
        except ObjectMissing:
            return None
        except Alert as problem:
            self.remarks.append(f"Run {partition_key} cannot be compared with: {problem}")
            return None


def _metadata_of(record: RunRecord) -> dict[str, Any]:
    """Return the RunStart's metadata; a text that is no JSON object is given as it is, under `text`."""
    text = record.start.metadata
    try:
        found = json.loads(text) if text else {}
    except ValueError:
        return {"text": text}
    return found if isinstance(found, dict) else {"text": text}
