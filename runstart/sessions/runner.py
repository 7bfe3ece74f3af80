"""Runs a session: makes its place, waits for room, and takes everything away again, whatever has happened.

What is made is undone in reverse order, also when the session is interrupted by what is no ordinary exception. Only a
killed process leaves something: its processes end with it, and the rest is cleaned up by who finds the record.
"""

from __future__ import annotations

import contextlib
import errno
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from runstart.errors import Transient
from runstart.sessions.control_hub import ControlHub
from runstart.sessions.crew import Crew
from runstart.sessions.display import Display
from runstart.sessions.ending import closing, remove_persistently, remove_tasks
from runstart.sessions.folders import make_session_folder, remove_session_folder
from runstart.sessions.keeping import Keeper
from runstart.sessions.labels import session_labels
from runstart.sessions.mailbox import Mailbox, encode_reply, reply_key
from runstart.sessions.outcome import SessionFailed, SessionOutcome
from runstart.sessions.records import SessionRecord, ended_record, write_record
from runstart.sessions.reserving import demand_of, reserve
from runstart.sessions.session import Session
from runstart.sessions.store_identity import store_identity
from runstart.sessions.tasks import StageSetup, TaskMaker, refuse_gpus, set_up, share_gpus
from runstart.sessions.triggers import check_trigger
from runstart.sessions.wiring import make_wiring

if TYPE_CHECKING:
    from runstart.host import Reservation
    from runstart.launchers import Launcher
    from runstart.sessions.order import SessionOrder, SessionSettings
    from runstart.sessions.records import State
    from runstart.sessions.status import SessionReporter
    from runstart.storage import ObjectStore

_CLOSE_S = 20.0
_AGAIN_S = 1.0


def run_session(
    order: SessionOrder,
    launcher: Launcher,
    store: ObjectStore,
    settings: SessionSettings,
    reporter: SessionReporter,
    *,
    stop: Callable[[], bool] = lambda: False,
) -> SessionOutcome:
    """Run a pipeline from its start to its end.

    Parameters
    ----------
    order : SessionOrder
        What to run.
    launcher : Launcher
        Where operators run: as processes, in containers or on pods.
    store : ObjectStore
        Takes records, status, dead letters and published outputs, and has the commands.
    settings : SessionSettings
        How sessions run here.
    reporter : SessionReporter
        Is told how it goes.
    stop : callable, optional
        Ends the session as a command does when it returns True: what is on its way arrives.

    Returns
    -------
    SessionOutcome
        What became of every message.

    Raises
    ------
    SessionFailed
        The session has come to its end, but messages were lost, or an operator has given up.
    Alert
        It could not be started, for a reason that the user can mend.
    Transient
        Store or engine do not answer.
    """
    for stage, trigger in order.triggers:
        check_trigger(order.plan, stage, trigger)
    settings = settings.with_place_time(launcher.place_s)
    setups = set_up(order.plan, settings)
    if not launcher.shares_machine:
        refuse_gpus(order.plan)
    store_id = store_identity(store)
    record = SessionRecord(
        order.session_id, "pipeline", order.plan.name, run_id=order.run_id, launcher=launcher.name
    )
    write_record(store, record)
    run = _Run(order, launcher, store, store_id, settings, reporter, stop, setups, record)
    with closing(run.close, SessionFailed):
        outcome = run.run()
    return replace(outcome, unwritten=run.close("stopped" if outcome.state == "stopped" else "finished", ""))


class _Run:
    """What is made for one session, and undone."""

    def __init__(
        self,
        order: SessionOrder,
        launcher: Launcher,
        store: ObjectStore,
        store_id: str,
        settings: SessionSettings,
        reporter: SessionReporter,
        stop: Callable[[], bool],
        setups: dict[str, StageSetup],
        record: SessionRecord,
    ) -> None:
        self._order, self._launcher, self._store_id = order, launcher, store_id
        self._settings, self._reporter, self._stop, self._setups = settings, reporter, stop, setups
        self._keeper = Keeper(store)
        self._mailbox = Mailbox(store, order.session_id, settings.command_poll_s)
        self._display = Display(record, order.plan, self._keeper, reporter, settings.show_s)

    def run(self) -> SessionOutcome:
        """Run the session; whatever was made for it is gone when this returns or raises."""
        reservation = self._reserve()
        if reservation is None:
            return SessionOutcome(self._order.session_id, "stopped", 0.0, {})
        with reservation as reserved:
            if reserved is not None:
                share_gpus(self._setups, reserved.gpus)
            with _disk_told(), self._folder() as folder, self._network() as network:
                outcome = self._run_in(folder, network)
        if outcome.state == "failed":
            raise SessionFailed(outcome)
        return outcome

    def close(self, state: State, reason: str) -> int:
        """Write that the session has ended; return how many objects the store did not take."""
        for command in self._mailbox.close():
            reply = encode_reply("error", "The session has ended.")
            self._keeper.put(reply_key(self._order.session_id, command.number), reply)
        ended = ended_record(self._display.record, state, reason, time.time())
        self._display.change(state=ended.state, reason=reason, ended_at=ended.ended_at, nodes=ended.nodes)
        unwritten = self._keeper.close(_CLOSE_S)
        for trouble in self._keeper.troubles():
            self._reporter.log(f"The store: {trouble}")
        if unwritten:
            self._reporter.log(f"{unwritten} objects of this session were not written to the store.")
        return unwritten

    def _reserve(self) -> AbstractContextManager[Reservation | None] | None:
        demand = partial(demand_of, self._order.plan, self._settings)
        return reserve(self._launcher, self._settings, self._order.session_id, demand, self._wait)

    def _wait(self, reason: str) -> bool:
        """Show why the session waits; return whether it is still wanted."""
        self._display.show_waiting(reason)
        for command in self._mailbox.take():
            is_stop = command.content.get("command") == "stop"
            answer = encode_reply("ok", "It does not wait any more.") if is_stop else encode_reply("error", reason)
            self._keeper.put(reply_key(self._order.session_id, command.number), answer)
            if is_stop:
                return False
        return not self._stop()

    @contextlib.contextmanager
    def _folder(self) -> Iterator[Path]:
        folder = make_session_folder(self._display.record, self._store_id)
        try:
            self._display.change(folder=str(folder), reason="")
            yield folder
        finally:
            try:
                remove_session_folder(folder)
            except OSError as problem:
                self._reporter.log(f"The folder {folder} could not be removed: {problem}")

    @contextlib.contextmanager
    def _network(self) -> Iterator[str | None]:
        if not self._launcher.has_networks:
            yield None
            return
        name = f"runstart-{self._order.session_id.lower()}"
        # Before it is made: whoever cleans up has to know it.
        self._display.change(network=name)
        try:
            self._launcher.make_network(name, session_labels(self._order.session_id, self._store_id))
            yield name
        finally:
            self._remove_network(name)

    def _remove_network(self, name: str) -> None:
        remove_persistently(
            partial(self._launcher.remove_network, name),
            lambda problem: self._reporter.log(f"The network {name} could not be removed: {problem}"),
        )

    def _run_in(self, folder: Path, network: str | None) -> SessionOutcome:
        order, settings, launcher = self._order, self._settings, self._launcher
        wiring = make_wiring(launcher, order.plan, folder, settings)
        wiring.prepare()
        maker = TaskMaker(
            order.session_id,
            self._store_id,
            wiring,
            settings,
            runs_images=launcher.runs_images,
            shares_machine=launcher.shares_machine,
            network=network,
        )
        # A cluster's nodes each pull for themselves, and an operator's end says if they cannot.
        if launcher.shares_machine:
            self._fetch(maker.images(order.plan.stages))
        targets = {link.target for link in order.plan.links}
        crew = Crew(
            self._setups, set(self._setups) - targets, launcher, wiring, maker, settings, self._reporter.log
        )
        replicas = {stage.name: stage.parallelism for stage in order.plan.stages}
        hub = ControlHub(wiring.door, replicas)
        session = Session(
            order, self._display, self._setups, crew, hub, launcher, settings,
            self._keeper, self._mailbox, self._reporter, self._stop,
        )  # fmt: skip
        try:
            return session.run()
        finally:
            self._leave(session, crew, hub)

    def _leave(self, session: Session, crew: Crew, hub: ControlHub) -> None:
        """End all processes, with grace if that can be, and remove them in any case."""
        try:
            # Who interrupts a session does not wait for an engine that is away: what it left is cleaned up later.
            session.leave(self._settings.grace_s)
        except Transient as problem:
            self._reporter.log(str(problem))
        finally:
            left = crew.remove_all() + self._remove_strays()
            hub.close()
            if left:
                self._reporter.log(f"These tasks could not be removed: {', '.join(left)}.")

    def _remove_strays(self) -> list[str]:
        """Remove what was started and is not known, because its start was interrupted; return what could not be."""
        try:
            strays = self._launcher.list(session_labels(self._order.session_id, self._store_id))
        except Transient as problem:
            return [f"those that were being started ({problem})"]
        problems = remove_tasks(self._launcher, [stray.task for stray in strays])
        return [f"one that was being started ({problem})" for problem in problems if problem is not None]

    def _fetch(self, images: list[str]) -> None:
        """See that all images are there before anything is started."""
        deadline = time.monotonic() + self._settings.engine_patience_s
        for image in images:
            while True:
                try:
                    self._launcher.fetch_image(image)
                except Transient as problem:
                    if time.monotonic() > deadline:
                        raise
                    self._reporter.log(str(problem))
                    time.sleep(_AGAIN_S)
                else:
                    break


@contextlib.contextmanager
def _disk_told() -> Iterator[None]:
    """Say of a full disk what it is."""
    try:
        yield
    except OSError as problem:
        if problem.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        raise Transient(f"The disk of {tempfile.gettempdir()} is full: {problem}.") from problem
