"""Dagster's pages with a browser in front of them: webserver, daemon and code server on simulated nights, and Chromium.

No broker: the instruments file declares no instrument. Everything listens on loopback and writes below one folder.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import psutil
from waiting import wait_until

from runstart.demo import family
from runstart.demo.children import Child, CodeServer, Daemon, UserInterface
from runstart.demo.graphql import NoAnswer, Webserver
from runstart.demo.place import LOCATION_NAME, Place, find_checkout
from runstart.facility.processes import free_port
from runstart.simulators.night import NightPlan, simulate_night
from runstart.storage import FileStore

SITE = "SIMOBS"
FIRST_NIGHT = date(2026, 3, 23)
NIGHTS = 4
START_TIMEOUT = 120.0
CHROMIUM_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_RUNS = """
query Runs($job: String!) {
  runsOrError(filter: {pipelineName: $job}, limit: 50) { ... on Runs { results { id status } } }
}
"""


def find_chromium() -> str | None:
    """Return the system's Chromium, if there is one."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


class Pages:
    """The running programs behind Dagster's pages.

    Parameters
    ----------
    folder : Path
        Gets all that they write.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.exposures = folder / "exposures" / SITE
        self.images = folder / "images"
        self.nights = [(FIRST_NIGHT + timedelta(days=day)).isoformat() for day in range(NIGHTS)]
        self.store = FileStore(folder / "store")
        self._place = Place(find_checkout(), folder / "instruments.toml", folder, folder)
        self._port = free_port()
        self._children: list[Child] = []
        self.url = f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start the programs, simulate the nights meanwhile, and wait until all is up."""
        self._write_files()
        place, environ = self._place, self._environ()
        code = CodeServer(self.folder / "code-server", environ, place.checkout)
        place.write_workspace(code.port)
        self._start(code)
        self._simulate()
        self._await(code)  # alone at first: it makes Dagster's database
        webserver = UserInterface(self.folder / "webserver", environ, place.workspace_file, self._port)
        daemon = Daemon(self.folder / "daemon", environ, place.workspace_file, self._port)
        self._start(webserver, daemon)
        self._await(webserver, daemon)

    def stop(self) -> None:
        """End the programs and the runs that they have started."""
        started: list[psutil.Process] = []
        for child in self._children:
            with contextlib.suppress(psutil.NoSuchProcess):
                if child.running:
                    started += psutil.Process(child.pid).children(recursive=True)
        for child in self._children:
            child.ask_to_stop()
        for child in reversed(self._children):
            child.stop()
        family.ask_to_stop(started)
        _, stubborn = psutil.wait_procs(started, timeout=3)
        for process in stubborn:
            process.kill()

    def ask(self, query: str, **variables: object) -> dict[str, Any]:
        """Return what the webserver answers to a GraphQL query."""
        return Webserver(self._port).ask(query, **variables)

    def runs(self, job: str) -> dict[str, str]:
        """Return the state of each run of a job, newest first."""
        found = self.ask(_RUNS, job=job)["runsOrError"]["results"]
        return {run["id"]: run["status"] for run in found}

    def _write_files(self) -> None:
        place = self._place
        for folder in (place.dagster_home, self.folder / "tmp", self.store.root, self.exposures, self.images):
            folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(place.checkout / "dagster.yaml", place.dagster_home)
        place.instruments_file.write_text('[kafka.default]\nbootstrap_servers = "127.0.0.1:9"\n')

    def _environ(self) -> Mapping[str, str]:
        return self._place.environment("127.0.0.1:9") | {"RUNSTART_FITS_FOLDERS": f"images={self.images}"}

    def _simulate(self) -> None:
        for night in self.nights:
            simulate_night(
                self.exposures, NightPlan(date=date.fromisoformat(night), site=SITE, shape=(400, 400), objects=2)
            )

    def _start(self, *children: Child) -> None:
        for child in children:
            self._children.append(child)
            child.start()

    def _await(self, *children: Child) -> None:
        for child in children:

            def ready(child: Child = child) -> bool:
                assert child.running, f"The {child.name} ended:\n{child.log_path.read_text(errors='replace')[-4000:]}"
                return child.ready

            wait_until(ready, f"the {child.name}", START_TIMEOUT, 0.2)
