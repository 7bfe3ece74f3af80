"""Follows a scan that is streamed over Kafka: its frames are written into a local file as they come, and that is followed.

At the end the file is put into the object store as `scans/MICROSCOPE/SCAN/raw.batches`, whatever became of the scan, so
that it can be processed again without Kafka; `stream.json` beside it tells what became of the topic's messages.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from runstart.errors import Alert, Transient
from runstart.instruments import PLAINTEXT, Access
from runstart.scans._spool import StreamLedger, StreamSpool
from runstart.scans.follow import ScanReporter, ScanStatus, follow_scan
from runstart.scans.model import Accounting, ScanProduct, ScanResult
from runstart.scans.opening import streamed_frames_key
from runstart.scans.work import ScanWork
from runstart.storage import ObjectMissing

__all__ = ["StreamLedger", "follow_stream"]

_LOOK_SECONDS = 0.1


def follow_stream(
    work: ScanWork,
    bootstrap_servers: str,
    reporter: ScanReporter,
    *,
    access: Access = PLAINTEXT,
    stop: Callable[[], bool] = lambda: False,
) -> ScanResult:
    """Follow a streamed scan to its end, and return the result that counts.

    The scan ends when all its frames have come, when as many have as its messages say that there are, or when none has
    come for `give_up_seconds`: then it was broken off. A scan that is in the store already, whole, is taken from there.

    Parameters
    ----------
    work : ScanWork
        The scan; its record has a stream.
    bootstrap_servers : str
        Of the Kafka cluster.
    reporter : ScanReporter
        Is told how it goes on.
    access : Access, optional
        How the cluster is entered.
    stop : callable, optional
        Ends the scan as broken off when it returns True.

    Raises
    ------
    Alert
        If no frame ever comes, access is refused, or the scratch disk is full.
    Transient
        If broker or store do not answer.
    ValueError
        If the scan is not streamed.
    """
    stored = _stored(work)
    if stored is not None and stored["is_whole"]:
        reporter.remark("All frames of this scan are in the object store: they are taken from there.")
        return follow_scan(work, reporter, stop=stop)
    with tempfile.TemporaryDirectory(prefix="runstart-stream-", ignore_cleanup_errors=True) as folder:
        spool = StreamSpool(work, Path(folder) / "raw.batches", bootstrap_servers, access)
        try:
            with spool:
                watch = _Watch(spool, reporter, stop)
                watch.wait_for_frames(work)
                result = follow_scan(replace(work, local=spool.path), watch, stop=watch.must_stop)
                watch.tell_ledger()
        except BaseException:
            with contextlib.suppress(Alert, Transient):  # the first error says more
                _keep(work, spool)
            raise
        _keep(work, spool)
        return result


class _Watch:
    """Stands between the one who follows the file and the thread that writes it."""

    def __init__(self, spool: StreamSpool, reporter: ScanReporter, stop: Callable[[], bool]) -> None:
        self._spool = spool
        self._reporter = reporter
        self._stop = stop

    def remark(self, text: str) -> None:
        """Hand a sentence on."""
        self._reporter.remark(text)

    def status(self, status: ScanStatus, product: Callable[[], ScanProduct] | None) -> None:
        """Hand the state of the scan on, and what there is to tell of the stream."""
        self._tell()
        self._reporter.status(status, product)

    def must_stop(self) -> bool:
        """Return whether the scan is to end; raise what has ended the stream."""
        self._spool.check()
        return self._stop()

    def wait_for_frames(self, work: ScanWork) -> None:
        """Wait until the file has frames.

        Raises
        ------
        Alert
            If none comes.
        Transient
            If the broker does not answer.
        """
        patience, begun = work.microscope.give_up_seconds, time.monotonic()
        next_status, nothing = 0.0, Accounting(self._spool.header.expected, 0, 0)
        while not self._spool.has_frames.wait(_LOOK_SECONDS):
            waiting = time.monotonic() - begun
            if self.must_stop() or waiting > patience:
                number = (work.record.stream or {})["number"]
                what = f"No frame of scan {number} has come on topic {self._spool.topic} in {waiting:.0f} s."
                ledger = {name: count for name, count in self._spool.ledger.as_dict().items() if count}
                raise Alert(f"{what} Messages there: {ledger or 'none'}.", "Look at the detector's stream.")
            if waiting >= next_status:
                next_status = waiting + work.microscope.display_interval
                self.status(ScanStatus(nothing, 0.0, waiting), None)

    def tell_ledger(self) -> None:
        """Tell what became of the messages."""
        self._tell()
        counts = ", ".join(f"{count:,} {name}" for name, count in self._spool.ledger.as_dict().items() if count)
        self.remark(f"Messages on {self._spool.topic}: {counts}.")

    def _tell(self) -> None:
        for text in self._spool.remarks():
            self.remark(text)


def _keep(work: ScanWork, spool: StreamSpool) -> None:
    """Put the frames into the store, unless more of them are there already."""
    if not spool.has_frames.is_set():
        return
    stored = _stored(work)
    if stored is not None and stored["seen"] > spool.seen:
        work.tell(f"An earlier attempt has stored {stored['seen']:,} frames, this one {spool.seen:,}: those stay.")
        return
    told = {"seen": spool.seen, "is_whole": spool.seen == spool.header.expected, "messages": spool.ledger.as_dict()}
    work.store.put(_frames_key(work), spool.path.read_bytes())
    work.store.put(_told_key(work), json.dumps(told, sort_keys=True, indent=1).encode())


def _stored(work: ScanWork) -> dict[str, int] | None:
    """Return what is known of the frames in the store; None if there are none."""
    try:
        known: dict[str, int] = json.loads(work.store.get(_told_key(work)).data)
    except ObjectMissing:
        return None
    return known if work.store.head(_frames_key(work)) is not None else None


def _frames_key(work: ScanWork) -> str:
    return streamed_frames_key(work.microscope, work.record.scan)


def _told_key(work: ScanWork) -> str:
    return f"{work.microscope.folder(work.record.scan)}/stream.json"
