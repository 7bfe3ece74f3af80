"""The programs of a demonstration, each a child process with a log file and a way to tell that it is ready.

Starting a child does not wait for it: they come up together, and the supervisor asks them in turn.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from runstart.demo.graphql import Webserver
from runstart.demo.place import LOCATION_NAME
from runstart.errors import Alert
from runstart.facility.processes import Server, accepts_connections, free_port

_LOOPBACK = "127.0.0.1"
SCANS = 2
FRAMES_PER_SECOND = 50  # a scan of 64 x 64 positions takes 82 s


class Child(Server):
    """A program that is started without waiting for it.

    Parameters
    ----------
    data_dir : Path
        Folder of its log, and its working directory.
    environment : Mapping of str to str
        What its environment says beyond ours.
    """

    def __init__(self, data_dir: Path, environment: Mapping[str, str]) -> None:
        super().__init__(data_dir)
        self._environment = dict(environment)

    @property
    def ready(self) -> bool:
        """Whether it does what it is there for."""
        return self._is_ready()

    def ask_to_stop(self) -> None:
        """Send SIGTERM without waiting."""
        if self.running:
            self._signal(signal.SIGTERM)

    def _wait_until_ready(self) -> None:
        """Leave the waiting to the supervisor."""

    def _command(self) -> list[str]:
        told = [f"{name}={value}" for name, value in self._environment.items()]
        return ["env", *told, sys.executable, *self._arguments()]

    def _arguments(self) -> list[str]:
        raise NotImplementedError


class CodeServer(Child):
    """Loads `definitions.py` once, for webserver and daemon, and starts the runs."""

    name = "code-server"

    def __init__(self, data_dir: Path, environment: Mapping[str, str], checkout: Path) -> None:
        super().__init__(data_dir, environment)
        self.port = free_port()
        self._checkout = checkout

    def _arguments(self) -> list[str]:
        where = ["--host", _LOOPBACK, "--port", str(self.port), "--working-directory", str(self._checkout)]
        return ["-m", "dagster", "api", "grpc", "--module-name", LOCATION_NAME, *where]

    def _is_ready(self) -> bool:
        return accepts_connections(self.port)


class UserInterface(Child):
    """Dagster's webserver."""

    name = "webserver"

    def __init__(self, data_dir: Path, environment: Mapping[str, str], workspace: Path, port: int) -> None:
        super().__init__(data_dir, environment)
        self.port = port
        self._workspace = workspace

    def _arguments(self) -> list[str]:
        where = ["--host", _LOOPBACK, "--port", str(self.port)]
        return ["-m", "dagster_webserver", *where, "--workspace", str(self._workspace)]

    def _is_ready(self) -> bool:
        return Webserver(self.port).has_loaded(LOCATION_NAME)


class Daemon(Child):
    """Dagster's daemon: sensors, the queue of runs, retries; its health is told by the webserver."""

    name = "daemon"

    def __init__(self, data_dir: Path, environment: Mapping[str, str], workspace: Path, port: int) -> None:
        super().__init__(data_dir, environment)
        self._workspace = workspace
        self._webserver_port = port

    def _arguments(self) -> list[str]:
        return ["-m", "dagster._daemon", "run", "--workspace", str(self._workspace)]

    def _is_ready(self) -> bool:
        return Webserver(self._webserver_port).daemons_are_well()


class SimulatedInstrument(Child):
    """`runstart simulate`, at a rate that a laptop does not notice."""

    name = "simulator"

    def __init__(self, data_dir: Path, environment: Mapping[str, str], instrument: str, rate: float) -> None:
        super().__init__(data_dir, environment)
        self._instrument = instrument
        self._rate = rate

    def _arguments(self) -> list[str]:
        what = ["--instrument", self._instrument, "--rate", str(self._rate), "--partitions", "2"]
        where = ["--instruments", self._environment["RUNSTART_INSTRUMENTS"]]
        return ["-c", "from runstart.cli import app; app()", "simulate", *what, *where]

    def _is_ready(self) -> bool:
        return b"started" in self.log_path.read_bytes()


class SimulatedNights(Child):
    """`runstart simulate night`: some nights of a telescope, ready to be reduced; it ends when they are taken."""

    name = "nights"

    def __init__(self, data_dir: Path, environment: Mapping[str, str], site: str, nights: int) -> None:
        super().__init__(data_dir, environment)
        self._site = site
        self._nights = nights

    def _arguments(self) -> list[str]:
        folder = Path(self._environment["RUNSTART_EXPOSURES"]) / "exposures" / self._site
        what = ["--site", self._site, "--nights", str(self._nights), "--size", "400x400"]
        return ["-c", "from runstart.cli import app; app()", "simulate", "night", str(folder), *what]

    def _is_ready(self) -> bool:
        """Return whether all exposures are taken.

        Raises
        ------
        Alert
            If they could not be.
        """
        code = None if self._process is None else self._process.poll()
        if code:
            raise Alert(f"The nights could not be simulated:\n{self._log_tail()}", "See the log above.")
        return code == 0


class SimulatedScans(Child):
    """`runstart simulate scan`: a microscope that takes some scans; each is processed while it is written."""

    name = "scans"

    def __init__(self, data_dir: Path, environment: Mapping[str, str], microscope: str) -> None:
        super().__init__(data_dir, environment)
        self._microscope = microscope

    def _arguments(self) -> list[str]:
        folder = Path(self._environment["RUNSTART_SCANS"]) / "scans" / self._microscope
        what = ["--scans", str(SCANS), "--rate", str(FRAMES_PER_SECOND), "--drop", "0.002"]
        return ["-c", "from runstart.cli import app; app()", "simulate", "scan", str(folder), *what]

    def _is_ready(self) -> bool:
        return self.running


class GatewayPage(Child):
    """`runstart gateway`: the HTTP API and the live page, which who sits at this machine may read without a token."""

    name = "gateway"

    def __init__(self, data_dir: Path, environment: Mapping[str, str], dagster_port: int) -> None:
        dagster = f"http://{_LOOPBACK}:{dagster_port}"
        own = {
            "RUNSTART_DAGSTER_URL": dagster,
            "RUNSTART_DAGSTER_PAGE_URL": dagster,
            "RUNSTART_GATEWAY_OPEN_READING": "1",
        }
        super().__init__(data_dir, {**environment, **own})
        self.port = free_port()

    @property
    def url(self) -> str:
        """The live page."""
        return f"http://{_LOOPBACK}:{self.port}/"

    def _arguments(self) -> list[str]:
        return ["-c", "from runstart.cli import app; app()", "gateway", "--port", str(self.port)]

    def _is_ready(self) -> bool:
        return accepts_connections(self.port)


class MetricsPage(Child):
    """`runstart metrics`: what a Prometheus would read."""

    name = "metrics"

    def __init__(self, data_dir: Path, environment: Mapping[str, str]) -> None:
        super().__init__(data_dir, environment)
        self.port = free_port()

    @property
    def url(self) -> str:
        """Where the figures are."""
        return f"http://{_LOOPBACK}:{self.port}/metrics"

    def _arguments(self) -> list[str]:
        return ["-c", "from runstart.cli import app; app()", "metrics", "--port", str(self.port)]

    def _is_ready(self) -> bool:
        return accepts_connections(self.port)
