"""Runs a probe session: each program is started when the one that it connects to listens, and all counts must add up.

Whatever happens, tasks, network and reservation are gone afterwards. What a killed process leaves is found by its labels
and its record, which is written first.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from typing import TYPE_CHECKING

from runstart.host import Demand
from runstart.launchers.failures import EngineUnreachable
from runstart.probe_sessions.book import SessionBook
from runstart.probe_sessions.members import Member, image_of, make_spec
from runstart.probe_sessions.order import make_names
from runstart.probe_sessions.outcome import ProbeOutcome, ProbeSessionFailed, arrived_of, losses
from runstart.sessions.ending import closing, remove_persistently
from runstart.sessions.labels import session_labels
from runstart.sessions.records import NodeRecord, SessionRecord, write_record
from runstart.sessions.reserving import reserve, why_waiting
from runstart.sessions.store_identity import store_identity

if TYPE_CHECKING:
    from runstart.host import HostResources, Reservation
    from runstart.launchers import Launcher, Task
    from runstart.probe_sessions.order import Names, ProbeOrder
    from runstart.probe_sessions.programs import Program
    from runstart.sessions.order import SessionSettings
    from runstart.sessions.records import State
    from runstart.sessions.status import SessionReporter
    from runstart.storage import ObjectStore

_TURN_S = 0.1
_MEMORY_BYTES = 64 << 20


def run_probe_session(
    order: ProbeOrder,
    launcher: Launcher,
    store: ObjectStore,
    settings: SessionSettings,
    reporter: SessionReporter,
    run_id: str = "",
    *,
    stop: Callable[[], bool] = lambda: False,
) -> ProbeOutcome:
    """Run a probe session from its start to its end.

    Parameters
    ----------
    order : ProbeOrder
        How many messages, and in which form.
    launcher : Launcher
        Where the programs run: as processes, in containers or on pods.
    store : ObjectStore
        Takes the record and the status, and has the commands (`stop`).
    settings : SessionSettings
        How sessions run here.
    reporter : SessionReporter
        Is told how it goes.
    run_id : str, optional
        Of the Dagster run that it belongs to.
    stop : callable, optional
        Ends the session when it returns True.

    Returns
    -------
    ProbeOutcome
        What each program has counted: all messages have arrived, or the session was stopped.

    Raises
    ------
    ProbeSessionFailed
        Not all messages have arrived, or a program has failed.
    Alert
        It could not be started, for a reason that the user can mend.
    Transient
        Store or engine do not answer.
    """
    settings = settings.with_place_time(launcher.place_s)
    names = make_names(has_network=launcher.has_networks, is_on_cluster=not launcher.shares_machine)
    store_id = store_identity(store)
    record = SessionRecord(
        order.session_id,
        "probe",
        f"{order.count} messages, {order.stream_type}",
        run_id=run_id,
        launcher=launcher.name,
        network=names.network,
        details={
            "count": order.count,
            "stream_type": order.stream_type,
            "probe": names.probe,
            "stream": names.stream,
        },
    )
    write_record(store, record)
    book = SessionBook(store, record, reporter, stop, settings.command_poll_s)
    with closing(book.close, ProbeSessionFailed):
        outcome = _Run(order, store_id, names, launcher, settings, book).run()
    book.close("stopped" if outcome.state == "stopped" else "finished", "")
    return outcome


class _Run:
    """The programs of one session, and what is made for them."""

    def __init__(
        self,
        order: ProbeOrder,
        store_id: str,
        names: Names,
        launcher: Launcher,
        settings: SessionSettings,
        book: SessionBook,
    ) -> None:
        self._order, self._store_id, self._names, self._launcher = order, store_id, names, launcher
        self._settings, self._book = settings, book
        self._ports = dict(names.ports)
        self._members: dict[Program, Member] = {}
        self._troubles: list[str] = []
        self._reached_at = time.monotonic()

    def run(self) -> ProbeOutcome:
        """Run the session; what was made for it is gone when this returns or raises."""
        reservation = self._reserve()
        if reservation is None:
            return self._outcome(0.0)
        with reservation, self._network():
            began_at = time.monotonic()
            try:
                if self._start_all():
                    self._watch()
                outcome = self._outcome(time.monotonic() - began_at)
            finally:
                self._remove_all()
        if outcome.state == "failed":
            raise ProbeSessionFailed(outcome)
        return outcome

    def _reserve(self) -> AbstractContextManager[Reservation | None] | None:
        return reserve(
            self._launcher, self._settings, self._order.session_id, self._demand, self._book.wait_for_room
        )

    def _demand(self, host: HostResources) -> Demand:
        number = len(self._order.programs)
        return Demand(min(number * self._settings.reserved_cpus, host.cpus), number * _MEMORY_BYTES)

    @contextlib.contextmanager
    def _network(self) -> Iterator[None]:
        if not self._names.network:
            yield
            return
        labels = session_labels(self._order.session_id, self._store_id)
        try:
            self._launcher.make_network(self._names.network, labels)
            yield
        finally:
            self._persistently(
                f"The network {self._names.network}", partial(self._launcher.remove_network, self._names.network)
            )

    def _start_all(self) -> bool:
        """Start each program when the one before it listens; return whether all have been started."""
        self._book.change(state="starting", reason="")
        images = {
            program: image_of(program, self._settings) if self._launcher.runs_images else None
            for program in self._order.programs
        }
        # A cluster's nodes each pull for themselves, and a program's end says if they cannot.
        if self._launcher.shares_machine:
            for needed in {image for image in images.values() if image is not None}:
                self._launcher.fetch_image(needed)
        for program, image in images.items():
            spec = make_spec(
                program,
                self._order,
                self._store_id,
                self._names,
                self._ports,
                self._settings,
                image,
                shares_machine=self._launcher.shares_machine,
            )
            task = self._launcher.start(spec)
            node = NodeRecord(task.identifier, program, 0, time.time())
            self._members[program] = Member(program, task, node)
            self._book.keep_nodes(self._members.values())
            is_last = program == self._order.programs[-1]
            if not is_last and not self._await_listening(self._members[program]):
                return False
        self._book.change(state="running")
        self._book.log(f"All programs run: {self._order.count} messages, {self._order.stream_type}.")
        return True

    def _await_listening(self, member: Member) -> bool:
        """Wait until a program listens; return whether it does, and the session is still wanted."""
        deadline = time.monotonic() + self._settings.ready_s
        while not self._book.is_stopped():
            self._look()
            if member.report.port is not None:
                self._ports[member.program] = member.report.port
                return True
            if any(other.failure for other in self._members.values()):
                self._tell_failures()
                return False
            if time.monotonic() > deadline:
                self._troubles.append(f"{member.program} did not listen within {self._settings.ready_s:g} s.")
                return False
            time.sleep(_TURN_S)
        return False

    def _watch(self) -> None:
        """Look after the programs until all have ended, one has failed, or nothing moves any more."""
        moved_at, seen, failed_at = time.monotonic(), self._movement(), None
        while not self._book.is_stopped():
            self._look()
            now = time.monotonic()
            if (movement := self._movement()) != seen:
                moved_at, seen = now, movement
            if failed_at is None and any(member.failure for member in self._members.values()):
                failed_at = now
            has_ended = all(member.ended is not None for member in self._members.values())
            # The others of a failed one see it at once, and say why they end.
            if has_ended or (failed_at is not None and now - failed_at > self._settings.grace_s):
                break
            # A pod that has said nothing yet may wait for its place.
            has_place = self._launcher.shares_machine or all(one.report.state for one in self._members.values())
            silence_s = self._settings.silence_s if has_place else self._settings.ready_s
            if now - moved_at > silence_s:
                running = " and ".join(member.program for member in self._members.values() if member.ended is None)
                self._troubles.append(f"Nothing has moved for {silence_s:g} s: {running} hang.")
                break
            time.sleep(_TURN_S)
        self._tell_failures()

    def _look(self) -> None:
        """See how all programs are; an engine may be away for a while."""
        try:
            for member in self._members.values():
                member.look(self._launcher)
            self._reached_at = time.monotonic()
        except EngineUnreachable:
            if time.monotonic() - self._reached_at > self._settings.engine_patience_s:
                raise
        self._book.keep_nodes(self._members.values())
        self._book.explain(why_waiting(self._launcher, self._unbegun()))
        self._book.show(self._members)

    def _unbegun(self) -> Iterator[tuple[str, Task]]:
        for member in self._members.values():
            if not member.report.state and member.ended is None:
                yield member.program, member.task

    def _movement(self) -> list[object]:
        return [(member.report, member.ended) for member in self._members.values()]

    def _tell_failures(self) -> None:
        for member in self._members.values():
            if member.failure is None:
                continue
            why = f"{member.program} failed: {member.report.error}" if member.report.error else str(member.failure)
            self._troubles.append(why)

    def _outcome(self, seconds: float) -> ProbeOutcome:
        programs = self._order.programs
        reports = {program: self._members[program].report for program in programs if program in self._members}
        arrived = arrived_of(programs, reports)
        lost = losses(self._order.count, programs, reports)
        if self._book.is_stopped() and (lost or self._troubles):
            state: State = "stopped"
        else:
            state = "failed" if lost or self._troubles else "finished"
        self._book.show(self._members, state)
        return ProbeOutcome(
            session_id=self._order.session_id,
            state=state,
            stream_type=self._order.stream_type,
            count=self._order.count,
            arrived=arrived,
            seconds=seconds,
            counts={program: report.counts for program, report in reports.items()},
            troubles=(*lost, *self._troubles),
        )

    def _remove_all(self) -> None:
        for member in self._members.values():
            self._persistently(f"The task {member.program}", partial(self._launcher.remove, member.task))

    def _persistently(self, what: str, remove: Callable[[], None]) -> None:
        """Remove something, again and again for a while if the engine does not answer."""
        remove_persistently(
            remove, lambda problem: self._book.log(f"{what} could not be removed; the clean-up does it: {problem}")
        )
