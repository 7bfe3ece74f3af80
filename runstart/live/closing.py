"""What closes a run: its RunStop, a newer RunStart, or the stop that its own RunStart announced.

Every announcement on the run's topic is judged by content. A RunStop closes the run of its name (and job id, if
both carry one) when its stop time is not before the start; one with stop time 0, or after the year 2199, means
now, which is Kafka's time of the RunStop. A RunStart of the same instrument with a later start closes the run at
that start. All else is ignored with a sentence that says why. The earliest stop wins, and of equal ones the one
announced first, so that the order of arrival does not matter.
"""

from __future__ import annotations

from dataclasses import dataclass

from runstart.events import MalformedMessage, RunStart, RunStop, decode
from runstart.kafka import Announcement
from runstart.live.record import LATEST_TIME_MS, MS_TO_NS, RunRecord, refusal


@dataclass(frozen=True)
class Stop:
    """The end of a run.

    Attributes
    ----------
    time_ns : int
        Pulses at or after it are not the run's.
    reason : str
        What closed the run, as told to the user.
    announced_ms : int or None
        Kafka's time of the announcement; None if nothing announced it.
    """

    time_ns: int
    reason: str
    announced_ms: int | None = None


class ClosingWatch:
    """Finds the stop of one run among the announcements of its topic.

    Attributes
    ----------
    stop : Stop or None
        The earliest stop seen.
    remarks : list of str
        What was ignored and why; the caller takes them.
    """

    def __init__(self, record: RunRecord) -> None:
        self.stop: Stop | None = None
        self.remarks: list[str] = []
        self._record = record

    def see(self, announcement: Announcement) -> None:
        """Judge one announcement."""
        try:
            message = decode(announcement.payload)
        except MalformedMessage:
            return  # the sensor keeps and reports it
        if isinstance(message, RunStop):
            self._see_stop(message, announcement)
        elif isinstance(message, RunStart):
            self._see_start(message, announcement)

    def _see_stop(self, message: RunStop, announcement: Announcement) -> None:
        start = self._record.start
        name = message.run_name[:80]
        if message.run_name != start.run_name or (
            message.job_id and start.job_id and message.job_id != start.job_id
        ):
            self._remark(announcement, f"RunStop for another run ({name!r})")
            return
        timed = 0 < message.stop_time_ms < LATEST_TIME_MS
        stop_ms = message.stop_time_ms if timed else min(announcement.timestamp_ms, LATEST_TIME_MS)
        if stop_ms < start.start_time_ms:
            self._remark(announcement, f"RunStop before its RunStart (stop time {stop_ms} ms)")
            return
        kind = "RunStop" if timed else f"RunStop with stop time {message.stop_time_ms} (now)"
        self._offer(Stop(stop_ms * MS_TO_NS, f"{kind} at {announcement.place}", announcement.timestamp_ms))

    def _see_start(self, message: RunStart, announcement: Announcement) -> None:
        start = self._record.start
        names = {start.instrument_name.lower(), self._record.instrument.lower()}
        if message.instrument_name.lower() not in names:
            return  # another instrument on a shared topic
        if (message.run_name, message.start_time_ms) == (start.run_name, start.start_time_ms):
            return  # this run's own
        if refusal(message, announcement.timestamp_ms) is not None:
            self._remark(announcement, f"RunStart {message.run_name[:80]!r} is not acceptable and closes nothing")
        elif message.start_time_ms > start.start_time_ms:
            reason = f"newer RunStart at {announcement.place}"
            self._offer(Stop(message.start_time_ms * MS_TO_NS, reason, announcement.timestamp_ms))

    def _offer(self, stop: Stop) -> None:
        if self.stop is None or _rank(stop) < _rank(self.stop):
            self.stop = stop

    def _remark(self, announcement: Announcement, text: str) -> None:
        self.remarks.append(f"Ignored {text} at {announcement.place}.")


def _rank(stop: Stop) -> tuple[int, int, str]:
    return stop.time_ns, stop.announced_ms or 0, stop.reason
