"""What goes on beside the counting of a live run: collectors, the reduction script, the results topic.

None of them can delay or lose an event. The run's own thread only makes copies and looks what has come; whatever
else is to be done happens in threads and processes of their own, and what goes wrong there is told as a trouble.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any

from runstart.live.accumulation import Accumulation
from runstart.live.publish import make_live_product
from runstart.live.result_stream import ResultStream
from runstart.live.run_logs import RunLogs
from runstart.live.script_run import ScriptRun, ShownOutcome

if TYPE_CHECKING:
    from runstart.launchers import Launcher
    from runstart.live.follow import Sources
    from runstart.live.status import Reporter
    from runstart.logs import LogSeries
    from runstart.product import RunProduct
    from runstart.storage import ObjectStore


MOST_TROUBLES_TOLD = 200  # kinds of them, in the log of one run; the status has them all
_NUMBERS = re.compile(r"[\d,.]+")


class Companions:
    """The companions of one run; use it as a context manager, from the run's own thread.

    Parameters
    ----------
    sources : Sources
        The run and its instrument, which declares them.
    store : ObjectStore
        Keeps logs, and the runs that a script compares with.
    reporter : Reporter
        Told of what they do.
    launcher : Launcher
        Starts the script's process.
    environ : Mapping of str to str
        Holds the token of the script's source, if it needs one.
    epoch : int
        Of the lease.
    replay : bool
        Whether the run is over: devices are not read.
    publishes : bool
        Whether results go to the results topic: those of a run that had a result before do not.
    stop_time_ns : int or None
        The frozen stop of a run that is over.
    """

    def __init__(
        self,
        sources: Sources,
        store: ObjectStore,
        reporter: Reporter,
        launcher: Launcher,
        environ: Mapping[str, str],
        *,
        epoch: int,
        replay: bool,
        publishes: bool,
        stop_time_ns: int | None,
    ) -> None:
        instrument = sources.instrument
        self._record = sources.record
        self._reporter = reporter
        self._logs = RunLogs(sources, store, epoch, replay=replay, stop_time_ns=stop_time_ns)
        self._script: ScriptRun | None = None
        if instrument.script is not None:
            self._script = ScriptRun(instrument.script, sources.record, store, launcher, environ)
        self._stream = ResultStream(sources) if publishes and instrument.topics.results is not None else None
        self._told: set[str] = set()

    def __enter__(self) -> Companions:
        """Start them."""
        self._logs.start()
        if self._script is not None:
            self._script.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop what is still going on."""
        try:
            self._logs.abandon()
        finally:
            if self._script is not None:
                self._script.stop()
            if self._stream is not None:
                self._stream.close()

    def look(self, accumulation: Accumulation, ledger: dict[str, int]) -> None:
        """Give copies to whoever is ready for one, and tell what has come; returns at once."""
        self._logs.look()
        script, stream = self._script, self._stream
        if script is not None and script.is_due and accumulation.events_in_views:
            product = make_live_product(self._record, accumulation, ledger, whole=True)
            script.begin(product, accumulation.kept_events, self._logs.book.series)
        if script is not None and (shown := script.take_shown()) is not None:
            self._show(shown)
        if stream is not None and stream.is_idle:
            stream.publish(make_live_product(self._record, accumulation, ledger))
        self._tell_remarks()

    def log_series(self) -> Mapping[str, LogSeries]:
        """Return the logs so far."""
        return self._logs.book.series()

    def close(self) -> None:
        """Take no more samples of devices: the run's stop has passed."""
        self._logs.close()

    def finish_logs(self, stop_time_ns: int) -> Mapping[str, LogSeries]:
        """Stop the collectors and return all logs of the run."""
        series = self._logs.finish(stop_time_ns)
        self._tell_remarks()
        return series

    def finish_script(self, product: RunProduct, accumulation: Accumulation) -> ShownOutcome | None:
        """Execute the script on the finished run; None if there is none, or it could not be done."""
        if self._stream is not None:
            self._stream.publish(product)
        if self._script is None:
            return None
        shown = self._script.finish(product, accumulation.kept_events)
        if shown is not None:
            self._show(shown)
        self._tell_remarks()
        return shown

    @property
    def script_trouble(self) -> str | None:
        """What is wrong with the script, or None."""
        return None if self._script is None else self._script.trouble

    def status(self) -> dict[str, Any]:
        """Return the fields of a run's status that are the companions'."""
        collectors = self._logs.status()
        troubles = [
            {"kind": "collector", "name": name, "text": status["trouble"]}
            for name, status in collectors.items()
            if status["trouble"] is not None
        ]
        for kind, name, text in (
            ("script", "reduction script", self.script_trouble),
            ("collector", "log segments", self._logs.trouble),
            ("results_topic", "results topic", None if self._stream is None else self._stream.trouble),
        ):
            if text is not None:
                troubles.append({"kind": kind, "name": name, "text": text})
        script = None if self._script is None else self._script.status()
        return {"script": script, "collectors": collectors, "troubles": troubles}

    def _show(self, shown: ShownOutcome) -> None:
        self._reporter.script(shown)
        if self._stream is not None:
            self._stream.publish_script(shown)

    def _tell_remarks(self) -> None:
        """Tell remarks, and each trouble once, whatever numbers it holds; an execution's error was told with it."""
        for source in (self._logs, self._script):
            while source is not None and source.remarks:  # others append meanwhile
                self._reporter.remark(source.remarks.pop(0))
        error = None if self._script is None else self._script.last_error
        for trouble in self.status()["troubles"]:
            text = f"{trouble['name']}: {trouble['text']}"
            shape = _NUMBERS.sub("#", text)
            if trouble["text"] != error and shape not in self._told and len(self._told) < MOST_TROUBLES_TOLD:
                self._told.add(shape)
                self._reporter.remark(text)
