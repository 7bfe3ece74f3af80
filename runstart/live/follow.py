"""Follows a run on its topics until all of its events are counted.

The loop reads events, watches the announcements, adds what has been held back long enough, and lets snapshots
and pictures be made beside it. At the stop it waits a grace period, freezes the end offset of every partition,
and reads up to exactly those. A topic on which nothing comes delays none of this. The wall clock measures
durations only; it is never held against pulse times.
"""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from runstart.errors import Transient
from runstart.instruments import PLAINTEXT, Access, Instrument
from runstart.kafka import Batch, EventLog, RunInfoLog
from runstart.live.accumulation import Accumulation
from runstart.live.beginning import begin, find_beginning
from runstart.live.closing import ClosingWatch, Stop
from runstart.live.companions import Companions
from runstart.live.head import Frozen, Lease
from runstart.live.hold import Hold
from runstart.live.membership import FOREVER_NS
from runstart.live.patience import ask_patiently
from runstart.live.record import MS_TO_NS, RunRecord
from runstart.live.snapshot import DamagedSnapshot, SnapshotWriter, load_snapshot
from runstart.live.status import Reporter, Status
from runstart.storage import ObjectStore

READ_MESSAGES = 500  # messages a read returns at most
READ_SECONDS = 0.1  # longest wait for the first of them
WATCH_SECONDS = 0.25  # between looks at the announcements
ADOPT_SECONDS = 10.0  # between looks for new partitions
GIVE_UP_SECONDS = 24 * 3600.0  # without a message or a stop
LATE_LAUNCH_SECONDS = 600.0  # after its announcement; what is deleted by then may have been of the run

_T = TypeVar("_T")


@dataclass(frozen=True)
class Sources:
    """Where a run is read from."""

    bootstrap_servers: str
    instrument: Instrument
    record: RunRecord
    access: Access = PLAINTEXT


class Follower:
    """Counts one run, from the first offset or from a snapshot, to its frozen end.

    Parameters
    ----------
    sources : Sources
        The run and its topics.
    store : ObjectStore
        Holds the snapshots.
    lease : Lease
        The right to write; its head says whether the offsets are frozen already.
    snapshots : SnapshotWriter
        Writes snapshots beside the counting.
    reporter : Reporter
        Told of progress.
    companions : Companions
        What goes on beside the counting; looked after at each status.
    give_up_seconds : float
        A run that has had no message and no stop for so long is closed as it is.
    """

    def __init__(
        self,
        sources: Sources,
        store: ObjectStore,
        lease: Lease,
        snapshots: SnapshotWriter,
        reporter: Reporter,
        companions: Companions,
        *,
        give_up_seconds: float = GIVE_UP_SECONDS,
    ) -> None:
        self._instrument = sources.instrument
        self._record = sources.record
        self._bootstrap, self._access = sources.bootstrap_servers, sources.access
        self._store = store
        self._lease = lease
        self._snapshots = snapshots
        self._reporter = reporter
        self._companions = companions
        self._give_up = give_up_seconds
        self._watch = ClosingWatch(sources.record)
        self._frozen: Frozen | None = lease.head.frozen
        self._hold = Hold(sources.instrument.hold_back)
        self._stop: Stop | None = None
        self._grace_ends = 0.0
        self._closed = True
        self._freezing_failed = False
        self._last_message = time.monotonic()
        self._shown = (time.monotonic(), 0)
        self._next_snapshot = self._next_display = self._next_look = self._next_adoption = 0.0
        self._log: EventLog
        self._run_info: RunInfoLog | None = None
        self.accumulation: Accumulation

    def run(self) -> tuple[Accumulation, Frozen]:
        """Return the finished counts and the offsets that they are the content of.

        Raises
        ------
        LeaseLost
            If another run has taken over the partition.
        Alert
            If a topic is missing or has been made anew.
        Transient
            If the broker or the store stays away for long.
        """
        with EventLog(self._bootstrap, self._instrument.topics.events, self._access) as self._log:
            try:
                self._begin()
                while not self._finished():
                    self._turn()
            finally:
                if self._run_info is not None:
                    self._run_info.close()
            self._snapshots.finish()
            if self._frozen is None:
                raise AssertionError("A run cannot finish before its offsets are frozen.")
            return self.accumulation, self._frozen

    def _begin(self) -> None:
        resumed = self._load_snapshot(FOREVER_NS)
        if resumed is not None:
            self.accumulation = resumed
            self._reporter.remark(
                f"Resumed from a snapshot with {self.accumulation.events_in_views:,} events, "
                f"at offsets {self.accumulation.next_offsets}."
            )
        else:
            self.accumulation = self._fresh()
        if resumed is None or self._frozen is not None:
            self._begin_partitions()  # of a snapshot: those that were added between it and the freezing
        if self._frozen is None:
            self._run_info = self._patiently(self._open_run_info)
            self._read_announcements_to_end(self._run_info)
        self._log.seek(self._unfinished_positions())
        now = time.monotonic()
        self._shown = (now, self.accumulation.events_in_views)
        self._next_snapshot = now + self._instrument.snapshot_interval

    def _fresh(self) -> Accumulation:
        return Accumulation(self._instrument, self._record.start_time_ns, max(1, self._record.start.n_periods))

    def _begin_partitions(self) -> None:
        if self._frozen is not None:
            self.accumulation.begin(self._frozen.first_offsets)
            return
        age_seconds = time.time() - self._record.timestamp_ms / 1000
        seek_time_ms = self._record.start.start_time_ms - self._margin_ms
        find = functools.partial(
            find_beginning, self._log, seek_time_ms, long_ago=age_seconds > LATE_LAUNCH_SECONDS
        )
        begin(self.accumulation, self._patiently(find))
        for partition, ranges in self.accumulation.lost.items():
            self._reporter.remark(f"The broker has deleted offsets {ranges} of partition {partition}.")

    def _load_snapshot(self, stop_time_ns: int) -> Accumulation | None:
        """Return the newest snapshot that can be read and holds no member at or past a stop."""
        for key in reversed(self._lease.head.snapshots):
            load = functools.partial(load_snapshot, self._store, key, self._instrument)
            try:
                found = self._patiently(load)
            except DamagedSnapshot as error:
                self._reporter.remark(f"{error} Going on without it.")
                continue
            if found.newest_member_ns is None or found.newest_member_ns < stop_time_ns:
                return found
        return None

    @property
    def _margin_ms(self) -> int:
        return int(self._instrument.seek_margin * 1000)

    def _open_run_info(self) -> RunInfoLog:
        log = RunInfoLog(self._bootstrap, [self._record.topic], self._access)
        try:
            log.seek_time(min(self._record.start.start_time_ms, self._record.timestamp_ms) - self._margin_ms)
        except BaseException:
            log.close()
            raise
        return log

    def _read_announcements_to_end(self, run_info: RunInfoLog) -> None:
        """Learn of a stop that is already there before counting, so that nothing has to be counted again."""
        ends = self._patiently(run_info.end_offsets)
        deadline = time.monotonic() + 10.0
        while _is_behind(run_info.offsets, ends) and time.monotonic() < deadline:
            self._look(run_info, timeout=0.5)

    def _turn(self) -> None:
        self._lease.check()
        batch = self._log.read(READ_MESSAGES, READ_SECONDS)
        now = time.monotonic()
        if batch.messages:
            self._last_message = now
        if self._stop is None and self._frozen is None:
            self._hold.put(batch, now)
            for waited in self._hold.take(now):
                self._add(waited)
        else:
            for waited in self._hold.take_all():
                self._add(waited)
            self._add(batch)
        if self._frozen is None:
            self._approach_stop(now)
        self._periodic(now)

    def _add(self, batch: Batch) -> None:
        accumulation, stop_ns = self.accumulation, self._stop_time_ns
        ends = self._frozen.end_offsets if self._frozen is not None else None
        for message in batch.messages:
            begun = accumulation.next_offsets[message.partition]
            if message.offset >= begun and (ends is None or message.offset < ends[message.partition]):
                accumulation.add(message, stop_ns)
        for partition, first, low in batch.lost:
            end = low if ends is None else min(low, ends[partition])
            if first < end:
                accumulation.lose(partition, first, end)
                self._reporter.remark(f"The broker has deleted offsets [{first}, {end}) of partition {partition}.")
        for partition, position in batch.positions.items():
            accumulation.next_offsets[partition] = max(accumulation.next_offsets[partition], position)

    @property
    def _stop_time_ns(self) -> int | None:
        if self._frozen is not None:
            return self._frozen.stop_time_ns
        return self._stop.time_ns if self._stop is not None else self._record.planned_stop_ns

    def _approach_stop(self, now: float) -> None:
        if now >= self._next_look and self._run_info is not None:
            self._look(self._run_info, timeout=0.0)
            self._next_look = now + WATCH_SECONDS
        if now >= self._next_adoption:
            self._next_adoption = now + ADOPT_SECONDS
            with contextlib.suppress(Transient):  # the broker is away; asked again
                self._adopt_partitions()
                if self._run_info is not None:
                    self._run_info.adopt_partitions()
        if self._stop is None:
            self._consider_other_ends(now)
        elif now >= self._grace_ends:
            self._try_to_freeze(now, self._stop)

    def _look(self, run_info: RunInfoLog, timeout: float) -> None:
        try:
            announcements = run_info.read(timeout)
        except Transient:
            return  # the broker is away; the next look asks again
        for announcement in announcements:
            self._watch.see(announcement)
        for remark in self._watch.remarks:
            self._reporter.remark(remark)
        self._watch.remarks.clear()
        if self._watch.stop is not None and self._watch.stop != self._stop:
            self._close_at(self._watch.stop)

    def _consider_other_ends(self, now: float) -> None:
        planned, newest = self._record.planned_stop_ns, self.accumulation.newest_pulse_ns
        if planned is not None and newest is not None and newest >= planned:
            self._close_at(Stop(planned, "stop time announced by the RunStart"))
        elif now - self._last_message > self._give_up:
            self._reporter.remark(f"No message and no stop for {self._give_up:.0f} s: closing the run as it is.")
            self._stop = Stop(planned or FOREVER_NS, "given up: neither messages nor a stop came")
            self._closed = False

    def _close_at(self, stop: Stop) -> None:
        planned = self._record.planned_stop_ns
        if planned is not None and planned < stop.time_ns:
            stop = replace(stop, time_ns=planned, reason="stop time announced by the RunStart")
        first = self._stop is None
        self._stop = stop
        self._closed = True
        if first:
            self._grace_ends = time.monotonic() + self._instrument.grace
            self._reporter.remark(
                f"The run closes: {stop.reason}. Waiting {self._instrument.grace:g} s for late data."
            )
        newest = self.accumulation.newest_member_ns
        if newest is not None and newest >= stop.time_ns:
            self._recount(stop)

    def _recount(self, stop: Stop) -> None:
        """Count again from before the stop: events past it were counted before it was known."""
        self._snapshots.finish()
        self._hold.clear()
        earlier = self._load_snapshot(stop.time_ns) or self._fresh()
        earlier.begin(self.accumulation.first_offsets)
        self.accumulation = earlier
        self._log.seek(self._unfinished_positions())
        self._shown = (time.monotonic(), self.accumulation.events_in_views)
        self._reporter.remark(
            f"The stop came late: events past it had been counted. Counting again from "
            f"{self.accumulation.events_in_views:,} events."
        )

    def _try_to_freeze(self, now: float, stop: Stop) -> None:
        try:
            self._freeze(stop)
        except Transient as error:
            if not self._freezing_failed:
                self._reporter.remark(f"Cannot freeze the end of the run yet, and goes on trying: {error}")
            self._freezing_failed = True
            self._grace_ends = now + 1.0

    def _freeze(self, stop: Stop) -> None:
        self._adopt_partitions()
        accumulation = self.accumulation
        frozen = Frozen(
            stop_time_ns=stop.time_ns,
            reason=stop.reason,
            first_offsets=dict(accumulation.first_offsets),
            end_offsets={
                partition: max(self._end_offset(partition, stop), reached)
                for partition, reached in accumulation.next_offsets.items()
            },
            frozen_at_ms=time.time_ns() // 1_000_000,
            closed=self._closed,
        )
        self._lease.commit(frozen=frozen)
        self._frozen = frozen
        self._companions.close()

    def _end_offset(self, partition: int, stop: Stop) -> int:
        """Return the present end of a partition, or for a run of the past, where its late data would have ended."""
        _, high = self._log.watermarks(partition)
        if stop.announced_ms is None:
            return high
        # An announced stop may lie ahead of its announcement; events come until then.
        newest_ms = max(stop.announced_ms, stop.time_ns // MS_TO_NS)
        late = self._log.offset_at(partition, newest_ms + int(self._instrument.grace * 1000) + self._margin_ms)
        return high if late is None else min(high, late)

    def _adopt_partitions(self) -> None:
        """Begin partitions that have been added to the topic since, at their very first message."""
        known = self.accumulation.next_offsets
        lows = {p: self._log.watermarks(p)[0] for p in self._log.partitions() if p not in known}
        if lows:
            begin(self.accumulation, (dict.fromkeys(lows, 0), {p: low for p, low in lows.items() if low > 0}))
            self._log.add(lows)

    def _unfinished_positions(self) -> Mapping[int, int]:
        ends = self._frozen.end_offsets if self._frozen is not None else None
        return {
            partition: offset
            for partition, offset in self.accumulation.next_offsets.items()
            if ends is None or offset < ends[partition]
        }

    def _finished(self) -> bool:
        return self._frozen is not None and not self._unfinished_positions()

    def _periodic(self, now: float) -> None:
        if now >= self._next_snapshot and self._snapshots.start(self.accumulation):
            self._next_snapshot = now + self._instrument.snapshot_interval
        if self._snapshots.failure is not None:
            self._reporter.remark(
                f"A snapshot could not be written and will be tried again: {self._snapshots.failure}"
            )
            self._snapshots.failure = None
        if now >= self._next_display:
            self._next_display = now + self._instrument.display_interval
            status = self._status(now)
            self._companions.look(self.accumulation, status.ledger)
            self._reporter.status(status, self.accumulation, self._companions.log_series)

    def _status(self, now: float) -> Status:
        accumulation = self.accumulation
        since, events = self._shown
        self._shown = (now, accumulation.events_in_views)
        elapsed = max(now - since, 1e-3)
        waiting = now - self._last_message < self._instrument.hold_back + 1.0
        beside = self._companions.status()
        troubles = beside["troubles"]
        if self._log.trouble is not None:
            troubles = [
                *troubles,
                {"kind": "kafka", "name": self._instrument.topics.events, "text": self._log.trouble},
            ]
        newest, written_at = accumulation.newest_kafka_ms, self._snapshots.written_at
        lag = max(0.0, time.time() - newest / 1000) if waiting and newest is not None else 0.0
        return Status(
            phase="finishing" if self._frozen else "closing" if self._stop else "counting",
            events_in_views=accumulation.events_in_views,
            events_per_second=(accumulation.events_in_views - events) / elapsed,
            lag_seconds=lag,
            proton_charge_uah=accumulation.series.total_charge_uah,
            ledger=accumulation.ledger(self._stop_time_ns).as_dict(),
            next_offsets=dict(accumulation.next_offsets),
            snapshots=self._snapshots.written,
            snapshot_age_seconds=None if written_at is None else max(0.0, time.time() - written_at),
            snapshot_bytes=self._snapshots.size,
            **beside | {"troubles": troubles},
        )

    def _patiently(self, ask: Callable[[], _T]) -> _T:
        return ask_patiently(ask, self._lease.check, self._reporter.remark)


def _is_behind(offsets: Mapping[str, Mapping[int, int]], ends: Mapping[str, Mapping[int, int]]) -> bool:
    return any(offsets[topic][p] < end for topic, parts in ends.items() for p, end in parts.items())
