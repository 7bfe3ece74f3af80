"""Dagster's pages with a browser in front of them: webserver, daemon and code server on simulated nights, and Chromium.

A microscope is declared whose folder is empty until a test takes a scan; its batches are small, so that there are several.
The operator of the documentation is made by the documentation's own command.

No broker: the instruments file declares no instrument. Everything listens on loopback and writes below one folder.
With `RUNSTART_SCREENSHOTS=FOLDER` the tests save the pictures of the documentation.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
from waiting import PATIENCE, wait_until

from runstart.demo import family
from runstart.demo.children import Child, CodeServer, Daemon, UserInterface
from runstart.demo.graphql import Webserver
from runstart.demo.place import Place, find_checkout
from runstart.facility.processes import free_port
from runstart.simulators.night import NightPlan, simulate_night
from runstart.simulators.night_plan import last_night

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

SITE = "SIMOBS"
MICROSCOPE = "SIMSTEM"
BATCH_BYTES = "32MiB"  # of a scan of 64 x 64 frames of 128 x 128 pixels: 128 MiB
NIGHTS = 3
START_TIMEOUT = 120.0
RUN_TIMEOUT = 120_000 * PATIENCE  # ms
NAVIGATION, WIDTH = 240, 1400  # px: Dagster's menu on the left, and what a screenshot keeps
VIEWPORT = (NAVIGATION + WIDTH, 1500)  # high enough for the events of a short run: others are not in the page
_RUN_STATUS = "query Run($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"
CHROMIUM_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


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
        self.scans = folder / "scans" / MICROSCOPE
        newest = last_night(datetime.now(UTC), "UTC")  # Dagster's dialogs show recent partitions
        self.nights = [(newest - timedelta(days=ago)).isoformat() for ago in reversed(range(NIGHTS))]
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
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()

    def science(self, night: str) -> list[str]:
        """Return the names of a night's science exposures."""
        return sorted(path.name for path in self.exposures.glob(f"*-{night.replace('-', '')}-*-e00.fits"))

    def partition(self, asset: str, night: str) -> str:
        """Return the address of an asset's page for one night."""
        return f"{self.url}/assets/{SITE}/{asset}?view=partitions&partition={night}"

    def scan_partition(self, asset: str, scan: str) -> str:
        """Return the address of an asset's page for one scan."""
        return f"{self.url}/assets/{MICROSCOPE}/{asset}?view=partitions&partition={scan}"

    def run_status(self, run_id: str) -> str:
        """Return the status of a run, such as `SUCCESS`."""
        status: str = Webserver(self._port).ask(_RUN_STATUS, id=run_id)["runOrError"]["status"]
        return status

    def _write_files(self) -> None:
        place = self._place
        for folder in (place.dagster_home, self.folder / "tmp", self.folder / "store", self.exposures, self.scans):
            folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(place.checkout / "dagster.yaml", place.dagster_home)
        place.instruments_file.write_text('[kafka.default]\nbootstrap_servers = "127.0.0.1:9"\n')
        _write_example(place.checkout / "docs/operators.md", self.folder)
        self._microscopes_file.write_text(_with_small_batches(place.checkout / "microscopes.toml"))

    def _environ(self) -> Mapping[str, str]:
        return self._place.environment("127.0.0.1:9") | {
            "RUNSTART_MICROSCOPES": str(self._microscopes_file),
            "RUNSTART_OPERATORS": str(self.folder / "operators"),
        }

    @property
    def _microscopes_file(self) -> Path:
        return self.folder / "microscopes.toml"

    def _simulate(self) -> None:
        few = {"objects": 1, "exposures": 2, "biases": 5, "darks": 3, "flats": 3}
        for night in self.nights:
            plan = NightPlan(date=date.fromisoformat(night), site=SITE, shape=(320, 320), **few)
            simulate_night(self.exposures, plan)

    def _start(self, *children: Child) -> None:
        for child in children:
            self._children.append(child)
            child.start()

    def _await(self, *children: Child) -> None:
        for child in children:

            def ready(child: Child = child) -> bool:
                log = child.log_path
                assert child.running, f"The {child.name} ended:\n{log.read_text(errors='replace')[-4000:]}"
                return child.ready

            wait_until(ready, f"the {child.name}", START_TIMEOUT, 0.2)


def _with_small_batches(microscopes_file: Path) -> str:
    heading = f"[microscopes.{MICROSCOPE}]\n"
    before, found, after = microscopes_file.read_text().partition(heading)
    assert found
    return f'{before}{heading}batch_bytes = "{BATCH_BYTES}"\n{after}'


def _write_example(page: Path, folder: Path) -> None:
    """Make the operator of the documentation as its reader does: by the first command, and the first text in Python."""
    text = page.read_text()
    command, kernel = (re.findall(rf"```{kind}\n(.*?)```", text, re.DOTALL)[0] for kind in ("sh", "python"))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(["sh", "-ec", command], cwd=folder, env=os.environ | {"PATH": path}, check=True, timeout=60)
    (folder / "operators/blur-images/run.py").write_text(kernel)


def open_launchpad(page: Page, pages: Pages, job: str) -> Locator:
    """Go to a job's Launchpad, and return its editor."""
    page.goto(f"{pages.url}/locations/definitions/jobs/{job}")
    page.get_by_role("tab", name="Launchpad").click()
    editor = page.locator(".CodeMirror").first
    editor.get_by_text("1", exact=True).first.wait_for()
    return editor


def fill_in(page: Page, editor: Locator, config: str) -> None:
    """Replace what stands in the Launchpad's editor, by keyboard."""
    editor.click()
    page.keyboard.press("Control+A")
    page.keyboard.insert_text(config)


def launch(page: Page, pages: Pages, job: str, config: str) -> None:
    """Launch a job with a config, and stay on the run's page."""
    fill_in(page, open_launchpad(page, pages, job), config)
    page.get_by_text("No errors").wait_for()
    page.get_by_role("button", name="Launch Run").click()
    page.wait_for_url("**/runs/*")


def wait_for_success(page: Page) -> None:
    """Wait on a run's page until it has succeeded."""
    ended = page.get_by_text("RUN_SUCCESS").or_(page.get_by_text("RUN_FAILURE")).first
    ended.wait_for(timeout=RUN_TIMEOUT)
    assert ended.inner_text() == "RUN_SUCCESS", page.locator("body").inner_text()


def materialize(page: Page, pages: Pages, nights: str, number: str) -> None:
    """Materialize nights of the site, such as `[FIRST...LAST]`, and go to the page of the run or backfill.

    Parameters
    ----------
    number : str
        What the dialog says of their number, such as `3 partitions`.
    """
    dialog = _open_dialog(page, pages, f"nights_{SITE}")
    box = dialog.locator("input[type=text]").first
    box.fill(nights)
    box.press("Tab")
    _launch_dialog(page, dialog, number)


def materialize_scan(page: Page, pages: Pages, scan: str) -> None:
    """Materialize all assets of a scan, and go to the page of the run."""
    dialog = _open_dialog(page, pages, f"scans_{MICROSCOPE}")
    dialog.get_by_text("Select a partition").click()
    page.get_by_role("menuitem").filter(has_text=scan).click()
    dialog.get_by_text("Launch runs").click()  # closes the list
    _launch_dialog(page, dialog, "1 partition")


def _open_dialog(page: Page, pages: Pages, group: str) -> Locator:
    page.goto(f"{pages.url}/locations/definitions/asset-groups/{group}")
    page.get_by_role("button", name="Materialize all").click()
    return page.get_by_role("dialog").filter(has_text="Launch runs to materialize")


def _launch_dialog(page: Page, dialog: Locator, number: str) -> None:
    dialog.get_by_text(number, exact=True).wait_for()
    dialog.get_by_role("button", name="Launch").click()
    page.get_by_role("link", name="View", exact=True).or_(
        page.get_by_role("button", name="View", exact=True)
    ).first.click()


def width_of(image: Locator) -> int:
    """Return the true width of a picture that has been loaded, px."""
    image.scroll_into_view_if_needed()
    width: int = image.evaluate("async image => { await image.decode(); return image.naturalWidth }")
    return width


def open_picture(page: Page, row: str) -> Locator:
    """Open the large picture of a row of metadata, and return it."""
    page.locator("tr", has=page.get_by_text(row, exact=True)).last.get_by_text("[Show Markdown]").click()
    return page.get_by_role("dialog").locator("img")


def save_screenshot(
    page: Page, name: str, *, top: int = 0, height: int = 900, width: int = WIDTH, is_colorful: bool = False
) -> None:
    """Save what stands right of the menu, for the documentation, if `RUNSTART_SCREENSHOTS` names a folder.

    Parameters
    ----------
    is_colorful : bool
        Keep all colours, of a page with many pictures.
    """
    folder = screenshots_folder()
    if folder is None:
        return
    from PIL import Image

    page.mouse.move(NAVIGATION + 5, 5)  # nothing is hovered over
    clip = {"x": NAVIGATION, "y": top, "width": width, "height": height}
    png = page.screenshot(clip=clip, animations="disabled")  # type: ignore[arg-type]
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    picture.thumbnail((WIDTH, height), Image.Resampling.LANCZOS)
    if not is_colorful:
        picture = picture.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    picture.save(folder / f"{name}.png", optimize=True)


def screenshots_folder() -> Path | None:
    """Return the folder for pictures of the documentation, if they are to be saved."""
    folder = os.environ.get("RUNSTART_SCREENSHOTS")
    return Path(folder) if folder else None
