"""Starts the parts of a demonstration together, watches them, and stops them together.

A part that ends by itself ends the demonstration: a supervisor that restarted it would hide what is wrong. Whatever
happens, no process is left. The code server comes up first and alone: it makes Dagster's database, which two
programs at once would spoil.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from runstart.demo import family
from runstart.demo.children import (
    Child,
    CodeServer,
    Daemon,
    GatewayPage,
    MetricsPage,
    SimulatedInstrument,
    SimulatedNights,
    SimulatedScans,
    UserInterface,
)
from runstart.demo.place import LOCATION_NAME, Place
from runstart.demo.retention import Retention
from runstart.errors import Alert, Transient
from runstart.facility import EmbeddedBroker
from runstart.facility.ioc import SampleEnvironmentIoc
from runstart.facility.processes import Server, free_port
from runstart.instruments import read_instruments

START_TIMEOUT_S = 120.0
WATCH_INTERVAL_S = 0.25
RETENTION_INTERVAL_S = 20.0
TAIL_LINES = 25
SITE, NIGHTS = "SIMOBS", 5
MICROSCOPE = "SIMSTEM"


class ChildEnded(Alert):
    """A part of the demonstration has ended by itself, or did not come up.

    Parameters
    ----------
    what : str
        Which, and how.
    log_tail : str
        The end of its log.
    """

    def __init__(self, what: str, log_tail: str) -> None:
        super().__init__(what, "The end of its log says why.")
        self.log_tail = log_tail


class _Stopped(Exception):
    """The user wants to stop while the parts are coming up."""


@dataclass(frozen=True, slots=True)
class DemoSettings:
    """What can be chosen.

    Parameters
    ----------
    port : int or None
        Port of the Dagster UI; None takes a free one.
    instrument : str
        The declared instrument that is simulated.
    rate : float
        Mean events a second.
    """

    port: int | None = None
    instrument: str = "SIMSANS"
    rate: float = 5_000.0


class Demo:
    """A demonstration; `run` is all of its life.

    Parameters
    ----------
    place : Place
        Where it lives.
    settings : DemoSettings
        What was chosen.
    tell : callable
        Takes a line of progress.
    """

    def __init__(self, place: Place, settings: DemoSettings, tell: Callable[[str], None]) -> None:
        self._place = place
        self._settings = settings
        self._tell = tell
        self._parts: list[Server] = []
        self._children: list[Child] = []
        self._passing: list[Child] = []  # children that end by themselves
        self._begin = time.monotonic()
        self.port = settings.port or free_port()
        self.metrics_url = ""
        self.live_url = ""

    @property
    def url(self) -> str:
        """The page of the instrument's live runs in the Dagster UI, at its newest event.

        The page's overview would show the run that was finished last, not the one that is being taken.
        """
        return f"http://127.0.0.1:{self.port}/assets/{self._settings.instrument}/live_run?view=events"

    @property
    def nights_url(self) -> str:
        """The page of the simulated site's nights in the Dagster UI."""
        return f"http://127.0.0.1:{self.port}/locations/{LOCATION_NAME}/asset-groups/nights_{SITE}"

    @property
    def scans_url(self) -> str:
        """The page of the simulated microscope's pictures in the Dagster UI, at its newest event."""
        return f"http://127.0.0.1:{self.port}/assets/{MICROSCOPE}/center_of_mass?view=events"

    def run(self, stop: threading.Event, welcome: Callable[[], None]) -> None:
        """Start everything, keep it up until `stop` is set, and stop everything.

        Parameters
        ----------
        stop : threading.Event
            Set by the user's Ctrl-C.
        welcome : callable
            Called once everything is up.

        Raises
        ------
        ChildEnded
            If a part ended by itself.
        Alert, Transient
            If the instrument is not declared, or a part cannot be started.
        """
        facility = read_instruments(self._place.instruments_file)
        if self._settings.instrument not in facility.instruments:
            what = f"{self._place.instruments_file} declares no instrument {self._settings.instrument!r}."
            raise Alert(what, f"It declares {', '.join(facility.instruments)}.")
        topic = facility.instruments[self._settings.instrument].topics.events
        family.adopt_orphans()
        try:
            broker = self._start_all(stop)
            welcome()
            self._watch(stop, Retention(broker, topic))
        except _Stopped:
            return
        finally:
            self._stop_all()

    def _start_all(self, stop: threading.Event) -> EmbeddedBroker:
        place = self._place
        broker = EmbeddedBroker(place.broker_dir)
        self._parts.append(broker)
        broker.start()
        self._tell_up(broker)
        ioc = SampleEnvironmentIoc(place.data_dir / "ioc")
        self._parts.append(ioc)
        ioc.start()
        self._tell_up(ioc)
        environment = place.environment(broker.bootstrap_servers) | ioc.environment

        code = CodeServer(place.data_dir / "code-server", environment, place.checkout)
        nights = SimulatedNights(place.data_dir / "nights", environment, SITE, NIGHTS)
        place.write_workspace(code.port)
        self._start(code)
        nights.start()
        self._passing.append(nights)
        self._await(stop, code, nights)

        interface = UserInterface(place.data_dir / "webserver", environment, place.workspace_file, self.port)
        daemon = Daemon(place.data_dir / "daemon", environment, place.workspace_file, self.port)
        simulated = (self._settings.instrument, self._settings.rate)
        simulator = SimulatedInstrument(place.data_dir / "simulator", environment, *simulated)
        metrics = MetricsPage(place.data_dir / "metrics", environment)
        gateway = GatewayPage(place.data_dir / "gateway", environment, self.port)
        self._start(interface, daemon, simulator, metrics, gateway)
        self._await(stop, interface, daemon, simulator, metrics, gateway)
        scans = SimulatedScans(place.data_dir / "scans-simulator", environment, MICROSCOPE)
        scans.start()
        self._passing.append(scans)
        self._await(stop, scans)
        self.metrics_url = metrics.url
        self.live_url = gateway.url
        return broker

    def _start(self, *children: Child) -> None:
        for child in children:
            self._parts.append(child)
            self._children.append(child)
            child.start()

    def _await(self, stop: threading.Event, *children: Child) -> None:
        for child in children:
            deadline = time.monotonic() + START_TIMEOUT_S
            while not child.ready:
                self._check_parts()
                if time.monotonic() > deadline:
                    raise ChildEnded(f"The {child.name} is not ready after {START_TIMEOUT_S:g} s.", _tail(child))
                if stop.wait(0.1):
                    raise _Stopped
            self._tell_up(child)

    def _tell_up(self, part: Server) -> None:
        self._tell(f"{time.monotonic() - self._begin:5.1f} s  {part.name}")

    def _watch(self, stop: threading.Event, retention: Retention) -> None:
        next_drop = time.monotonic() + RETENTION_INTERVAL_S
        while not stop.wait(WATCH_INTERVAL_S):
            self._check_parts()
            if time.monotonic() >= next_drop:
                try:
                    retention.drop_old()
                except Transient as error:
                    self._tell(f"Old events stay in the broker for now. {error}")
                next_drop = time.monotonic() + RETENTION_INTERVAL_S

    def _check_parts(self) -> None:
        for part in self._parts:
            if not part.running:
                raise ChildEnded(f"The {part.name} has ended by itself.", _tail(part))

    def _stop_all(self) -> None:
        """Stop the children and what they have started, then the broker that all of them need."""
        self._tell("Stopping.")
        own = {part.pid for part in self._parts if part.running}
        started = family.descendants()
        for child in (*self._children, *self._passing):
            child.ask_to_stop()
        family.ask_to_stop(process for process in started if process.pid not in own)
        for part in reversed([*self._parts, *self._passing]):
            part.stop()
        family.end(started)


def _tail(part: Server) -> str:
    lines = part.log_path.read_text(errors="replace").splitlines()
    return "\n".join(lines[-TAIL_LINES:])
