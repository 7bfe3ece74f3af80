"""A compute job from its start to its end, phase by phase; each phase may run where the one before has left off.

However a phase ends, its record tells the truth: what was published is whole, what failed is named, a stop is a stop and
lost time is lost time. What the job had on this machine is gone before its record says that it has ended.
"""

from __future__ import annotations

import contextlib
import errno
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runstart.compute.algorithm import algorithm_time, prepare_image, run_algorithm
from runstart.compute.confined import JOB_LABEL, STORE_LABEL, ProgramFailed
from runstart.compute.environments import ComputeEnvironment
from runstart.compute.expiry import mark_expiry
from runstart.compute.filtering import run_filter
from runstart.compute.folders import JobFolder, make_job_folder, open_job_folder, remove_job_folder
from runstart.compute.job_record import JobRecord, Result
from runstart.compute.notices import NOBODY, Notices
from runstart.compute.places import LOOK_S, take_place
from runstart.compute.provision import (
    AlgorithmProvisioningFailed,
    DataProvisioningFailed,
    Fetched,
    provision,
)
from runstart.compute.publish import discard_results, publish_all, publish_logs
from runstart.compute.records import JobBook, JobEnded, JobTaken, StopAsked
from runstart.compute.statuses import Status, failure_of
from runstart.compute.watching import JobStopped, JobTimedOut, Watch
from runstart.errors import Alert, Transient
from runstart.sessions.store_identity import store_identity

if TYPE_CHECKING:
    from runstart.launchers import Launcher

_PATIENCE_S = 30.0  # with a store that does not answer
_LAST_WORDS_S = 60.0  # for the logs of a job that has failed
_LONGEST_REASON = 2000
_FULL = {errno.ENOSPC, errno.EDQUOT}
_EXPECTED = (JobEnded, JobStopped, StopAsked, JobTimedOut, ProgramFailed, Alert, Transient)


class JobFailed(Alert):
    """A job has ended otherwise than finished.

    Parameters
    ----------
    record : JobRecord
        As it ended.
    """

    def __init__(self, record: JobRecord) -> None:
        super().__init__(f"{record.status.text} ({int(record.status)}). {record.reason}".strip())
        self.record = record


@dataclass(frozen=True)
class ComputeJob:
    """A job that a run of Dagster carries out.

    Parameters
    ----------
    job_id : str
        The job.
    book : JobBook
        Knows it.
    environments : mapping of str to ComputeEnvironment
        Where it may run.
    launcher : Launcher
        Runs its programs.
    root : Path
        In which its folder is made.
    was_told_to_stop : callable
        Tells, when the run is interrupted, whether somebody wanted that.
    tell : callable
        Gets a sentence for the run's log.
    notices : Notices
        Who is told of its start and its end.
    """

    job_id: str
    book: JobBook
    environments: Mapping[str, ComputeEnvironment]
    launcher: Launcher
    root: Path
    was_told_to_stop: Callable[[], bool] = lambda: False
    tell: Callable[[str], None] = lambda _text: None
    notices: Notices = NOBODY

    def begin(self, run_id: str) -> None:
        """Wait for a place in the job's environment, and take the job, so that no other run carries it out.

        Parameters
        ----------
        run_id : str
            The run that takes it.

        Raises
        ------
        JobTaken
            Another run has it.
        JobFailed
            The job has ended.
        Alert
            There is no such job.
        """
        try:
            record = self._record()
        except JobEnded as ended:
            raise JobFailed(ended.record) from ended
        if record.run_id not in ("", run_id):
            raise JobTaken(record)
        with self._ending():
            watch = Watch(self.book, self.job_id, "Waiting for a place", math.inf)
            environment = self._environment(record)
            while watch.patiently(lambda: take_place(self.book, environment, self.job_id), _PATIENCE_S) is None:
                watch.pause(LOOK_S)
            watch.check()
            record = watch.patiently(lambda: self.book.claim(self.job_id, run_id), _PATIENCE_S)
            self.notices.started(record, self.tell)

    def provision(self) -> list[Fetched]:
        """Bring the job's data, its algorithm and the algorithm's image, and return what was brought.

        Raises
        ------
        JobFailed
            The job has ended.
        """
        with self._ending():
            record = self._advance(Status.CONFIGURING_VOLUMES)
            environment = self._environment(record)
            watch = Watch(self.book, self.job_id, "Fetching the inputs", environment.max_phase_s)
            folder = make_job_folder(self.root, self.job_id, store_identity(self.book.store))
            with _configure_log(folder) as log:
                fetched = provision(record, environment, folder, self.book.store, watch)
                prepare_image(record, environment, self.launcher, watch)
                log += [f"{file.place}: {file.n_bytes} bytes, sha256:{file.sha256}" for file in fetched]
            self._advance(Status.PROVISIONED)
        return fetched

    def run_algorithm(self) -> None:
        """Run the algorithm.

        Raises
        ------
        JobFailed
            The job has ended.
        """
        with self._ending():
            record = self._advance(Status.RUNNING_ALGORITHM)
            environment = self._environment(record)
            seconds = algorithm_time(record, environment, self.launcher)
            watch = Watch(self.book, self.job_id, "The algorithm", seconds)
            run_algorithm(record, environment, self._folder, self._labels(), self.launcher, watch)

    def filter(self) -> bool:
        """Run the environment's filter, and return whether there is one.

        Raises
        ------
        JobFailed
            The job has ended.
        """
        with self._ending():
            environment = self._environment(self._record())
            if not environment.filter_image:
                return False
            record = self._advance(Status.FILTERING)
            seconds = environment.max_phase_s + self.launcher.place_s
            watch = Watch(self.book, self.job_id, "The filter", seconds + _LAST_WORDS_S)
            run_filter(record, environment, self._folder, self._labels(), self.launcher, watch)
        return True

    def publish(self) -> tuple[Result, ...]:
        """Publish the results and finish the job, and return what was published.

        Raises
        ------
        JobFailed
            The job has ended.
        """
        with self._ending():
            record = self._advance(Status.PUBLISHING)
            environment = self._environment(record)
            watch = Watch(self.book, self.job_id, "Publishing the results", environment.max_phase_s)
            results = publish_all(record, environment, self._folder, self.book.store, watch)
            remove_job_folder(self._folder.top)
            try:
                self._finish(record, Status.FINISHED, results)
            except StopAsked:
                discard_results(self.book.store, self.job_id)
                raise
        return results

    def _advance(self, status: Status) -> JobRecord:
        """Bring the job into its next state; a store that does not answer for a moment does not fail it."""
        watch = Watch(self.book, self.job_id, "Writing the state", math.inf, listens=False)
        return watch.patiently(lambda: self.book.advance(self.job_id, status), _PATIENCE_S)

    @property
    def _folder(self) -> JobFolder:
        return open_job_folder(self.root, self.job_id)

    def _labels(self) -> dict[str, str]:
        return {JOB_LABEL: self.job_id, STORE_LABEL: store_identity(self.book.store)}

    def _record(self) -> JobRecord:
        record = self.book.get(self.job_id)
        if record is None:
            raise Alert(f"There is no compute job {self.job_id!r}.", "Launch runs for jobs that were ordered.")
        if record.status.is_final:
            raise JobEnded(record)
        return record

    def _environment(self, record: JobRecord) -> ComputeEnvironment:
        environment = self.environments.get(record.environment)
        if environment is None:
            raise Alert(f"The environment {record.environment} is not declared any more.", "Declare it again.")
        return environment

    @contextlib.contextmanager
    def _ending(self) -> Iterator[None]:
        """End the job if the block does not come to its end."""
        try:
            yield
        except JobTaken:
            raise  # what has been done is the other run's
        except BaseException as problem:
            record = self._end(problem)
            if isinstance(problem, _EXPECTED):
                raise JobFailed(record) from problem
            raise

    def _end(self, problem: BaseException) -> JobRecord:
        """Bring the job into the last state that a problem means; what it had here is gone then."""
        try:
            if isinstance(problem, JobEnded):
                raise problem
            record = self._record()
            status, reason = self._judge(problem, record)
            results = self._publish_logs(record)
            remove_job_folder(self._folder.top)
            return self._finish(record, status, results, reason[:_LONGEST_REASON])
        except JobEnded as ended:
            # Somebody else has ended it: what this run has made meanwhile belongs to nobody.
            remove_job_folder(self._folder.top)
            if not ended.record.results:
                discard_results(self.book.store, self.job_id)
            return ended.record

    def _judge(self, problem: BaseException, record: JobRecord) -> tuple[Status, str]:
        match problem:
            case JobStopped() | StopAsked():
                return Status.STOPPED, "A stop was asked for."
            case JobTimedOut():
                return Status.TIMED_OUT, str(problem)
            case DataProvisioningFailed():
                return Status.DATA_PROVISIONING_FAILED, str(problem)
            case AlgorithmProvisioningFailed():
                return Status.ALGORITHM_PROVISIONING_FAILED, str(problem)
            case OSError() if problem.errno in _FULL:
                return failure_of(record.status), "The disk of the machine that ran it is full."
            case ProgramFailed() | Alert() | Transient():
                return failure_of(record.status), str(problem)
            case Exception():
                return failure_of(record.status), f"An error of Runstart itself: {type(problem).__name__}."
        if record.stopreq == 2:
            return Status.TIMED_OUT, "The job took longer than it may."
        if record.stopreq == 1 or self.was_told_to_stop():
            return Status.STOPPED, "Its run was terminated."
        return failure_of(record.status), "Its run was interrupted from outside."

    def _publish_logs(self, record: JobRecord) -> tuple[Result, ...]:
        """Publish what logs there are; a job that has failed ends as it has, also if they cannot be had."""
        environment = self.environments.get(record.environment)
        if environment is None or not self._folder.top.is_dir():
            return ()
        watch = Watch(self.book, self.job_id, "Publishing the logs", _LAST_WORDS_S, listens=False)
        try:
            return publish_logs(record, environment, self._folder, self.book.store, watch)
        except (Alert, Transient, JobTimedOut, OSError) as trouble:
            self.tell(f"The logs could not be published: {trouble}")
            return ()

    def _finish(
        self, record: JobRecord, status: Status, results: tuple[Result, ...], reason: str = ""
    ) -> JobRecord:
        """Write a job's end, again if the store does not answer; it may have been written all the same."""
        fields: dict[str, Any] = {
            "results": results,
            "reason": reason,
            "expires_at": self._mark_expiry(record, results),
        }
        if status is Status.TIMED_OUT:
            fields["stopreq"] = 2
        watch = Watch(self.book, self.job_id, "Writing the end", _LAST_WORDS_S, listens=False)
        try:
            record = watch.patiently(lambda: self.book.advance(self.job_id, status, **fields), _LAST_WORDS_S / 2)
        except JobEnded as ended:
            record = ended.record
            if record.status is not status or record.results != results:
                raise
        self.notices.ended(record, self.tell)
        return record

    def _mark_expiry(self, record: JobRecord, results: tuple[Result, ...]) -> float | None:
        environment = self.environments.get(record.environment)
        lasts_s = None if environment is None or not results else environment.expires_after_s
        if lasts_s is None:
            return None
        expires_at = time.time() + lasts_s
        mark_expiry(self.book, self.job_id, expires_at)
        return expires_at


@contextlib.contextmanager
def _configure_log(folder: JobFolder) -> Iterator[list[str]]:
    """Keep what is said about the provisioning, also if it fails."""
    lines: list[str] = []
    try:
        yield lines
    except (Alert, Transient) as problem:
        lines.append(str(problem))
        raise
    finally:
        text = "".join(f"{line}\n" for line in lines)
        (folder.admin_logs / "configure.log").write_text(text, encoding="utf-8")
