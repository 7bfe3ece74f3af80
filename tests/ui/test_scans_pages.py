"""Scans of a microscope, as a user clicks: one is followed while it is taken, looked at, and processed again in batches.

The first two tests look at the scan while it is taken, so they stand first.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from ui_kit import (
    MICROSCOPE,
    NAVIGATION,
    VIEWPORT,
    Pages,
    materialize_scan,
    open_picture,
    save_screenshot,
    screenshots_folder,
    wait_for_success,
    width_of,
)
from waiting import wait_until

from runstart.simulators.scan import ScanPlan, read_scan_truth, scan_truth_path, simulate_scan
from runstart.storage import FileStore, ObjectMissing

if TYPE_CHECKING:
    from playwright.sync_api import Page

FRAMES_PER_SECOND = 70.0  # 59 s
BATCHES = 4
MADE = ("counted_scan", "center_of_mass", "virtual_images", "phase", "diffraction_pattern")
CHOSEN = ("raw_scan", "virtual_images")  # made by two steps of the graph
STEP_WIDTH = 200  # px, of all steps where their durations are not shown
ENDED = {"SUCCESS", "FAILURE", "CANCELED"}

# A scan waits for nobody: its pace is that of a clock.
pytestmark = [pytest.mark.real, pytest.mark.alone, pytest.mark.timeout(300)]


class Scan:
    """A scan that is taken in a thread from now on, and what the object store tells of it."""

    def __init__(self, pages: Pages) -> None:
        self.pages = pages
        self.plan = ScanPlan(rate=FRAMES_PER_SECOND, dropped=0.002)
        self.name = self.plan.file_name
        self._store = FileStore(pages.folder / "store")
        self._stop = threading.Event()
        self._camera = threading.Thread(
            target=simulate_scan, args=(pages.scans, self.plan), kwargs={"stop": self._stop}
        )
        self._camera.start()

    @property
    def is_being_taken(self) -> bool:
        return self._camera.is_alive()

    @property
    def dropped(self) -> int:
        """How many frames the camera has dropped."""
        return len(read_scan_truth(scan_truth_path(self.pages.scans, self.plan)).dropped)

    @property
    def status(self) -> dict[str, Any]:
        try:
            status: dict[str, Any] = json.loads(self._displayed("status.json"))
        except ObjectMissing:
            return {}
        return status

    @property
    def overview(self) -> bytes:
        """The newest picture; empty before the first."""
        try:
            return self._displayed("overview.png")
        except ObjectMissing:
            return b""

    def break_off(self) -> None:
        self._stop.set()
        self._camera.join()

    def wait(self) -> None:
        """Wait until it is taken, and the run that follows it has ended."""
        self._camera.join()
        wait_until(lambda: self.status.get("ended"), "the end of the scan", interval=0.2)
        run = self.status["dagster_run_id"]
        wait_until(lambda: self.pages.run_status(run) in ENDED, "the end of its run", interval=0.2)
        assert self.pages.run_status(run) == "SUCCESS"

    def _displayed(self, name: str) -> bytes:
        return self._store.get(f"scans/{MICROSCOPE}/{self.name}/display/{name}").data


@pytest.fixture(scope="module")
def taking(pages: Pages) -> Iterator[Scan]:
    """A scan that is being taken when the first test asks for it."""
    scan = Scan(pages)
    yield scan
    scan.break_off()


@pytest.fixture(scope="module")
def taken(taking: Scan) -> Scan:
    """The scan after its end, before it is processed again."""
    taking.wait()
    return taking


def test_the_overview_in_the_store_is_renewed_while_a_scan_is_taken(taking: Scan) -> None:
    wait_until(lambda: taking.status.get("covered", 0) > 0.6, "a good part of the scan", interval=0.2)
    before = wait_until(lambda: taking.overview, "an overview", interval=0.2)
    wait_until(lambda: taking.overview != before, "a new overview", interval=0.2)
    assert taking.is_being_taken
    if (folder := screenshots_folder()) is not None:
        (folder / "scan-overview.png").write_bytes(taking.overview)


def test_the_pictures_of_a_scan_grow_while_it_is_taken(page: Page, pages: Pages, taking: Scan) -> None:
    width = 1150
    page.set_viewport_size({"width": NAVIGATION + width, "height": VIEWPORT[1]})
    page.goto(f"{pages.url}/assets/{MICROSCOPE}/center_of_mass?view=events")
    first = wait_until(lambda: _covered(page), "an observation")
    wait_until(lambda: _covered(page) > first, "one that covers more")
    pictures = page.locator("td img")
    assert all(width_of(picture) > 0 for picture in pictures.all()), "in place, without a click"
    bottom = page.locator("tr", has=page.get_by_text("frames_per_second", exact=True)).bounding_box()
    assert bottom is not None
    save_screenshot(
        page, "scan-live", height=int(bottom["y"] + bottom["height"]) + 1, width=width, is_colorful=True
    )
    assert width_of(open_picture(page, "overview")) > 800
    assert taking.is_being_taken


@pytest.mark.parametrize("asset", MADE)
def test_a_scan_is_green_and_shows_its_picture(page: Page, pages: Pages, taken: Scan, asset: str) -> None:
    page.set_viewport_size({"width": VIEWPORT[0], "height": 770})
    page.goto(pages.scan_partition(asset, taken.name))
    page.get_by_text("Materialized", exact=True).wait_for()
    picture = page.locator("td img").first
    picture.wait_for()
    assert width_of(picture) > 0, "in place, without a click"
    if asset != "counted_scan":
        assert width_of(open_picture(page, "picture")) > 500
    if asset == "phase":
        save_screenshot(page, "scan-page", height=770)


def test_every_frame_is_accounted_for_and_checked(page: Page, pages: Pages, taken: Scan) -> None:
    page.goto(f"{pages.url}/assets/{MICROSCOPE}/raw_scan?view=checks")
    page.get_by_text("complete", exact=True).first.wait_for()
    page.get_by_text("frames_add_up", exact=True).first.click()
    page.get_by_text("All frames are accounted for.").wait_for()
    page.get_by_text("Passed", exact=True).first.wait_for()
    seen, missing = taken.plan.slots - taken.dropped, taken.dropped
    for name, number in (("expected", taken.plan.slots), ("stored", seen), ("seen", seen), ("missing", missing)):
        row = page.get_by_role("row").filter(has=page.get_by_text(name, exact=True)).last
        assert f"{number:,}" in row.inner_text().split()
    save_screenshot(page, "scan-checks", height=850)


def test_processing_a_scan_again_in_batches_changes_no_bit(page: Page, pages: Pages, taken: Scan) -> None:
    followed = [_data_version(page, pages, taken, asset) for asset in CHOSEN]
    materialize_scan(page, pages, taken.name)
    page.wait_for_url("**/runs/*")
    wait_for_success(page)
    page.set_viewport_size({"width": NAVIGATION + 1650, "height": 1000})
    page.reload()
    page.get_by_text("RUN_SUCCESS").wait_for()
    _show_steps(page)
    steps = page.get_by_text(re.compile(rf"^process_scan_{MICROSCOPE}\.process_batch_{MICROSCOPE}\[\d+\]$"))
    assert steps.count() == BATCHES
    save_screenshot(page, "scan-run", height=615, width=1650)
    processed = [_data_version(page, pages, taken, asset) for asset in CHOSEN]
    page.get_by_text("View all historical events (2)").wait_for()
    assert processed == followed


def test_the_group_is_filled_and_its_checks_have_passed(page: Page, pages: Pages, taken: Scan) -> None:
    page.set_viewport_size({"width": VIEWPORT[0], "height": 1200})
    page.goto(f"{pages.url}/locations/definitions/asset-groups/scans_{MICROSCOPE}")
    page.get_by_text("2 / 2 Passed").wait_for()
    page.get_by_text("1 / 1 Passed").wait_for()
    page.get_by_text("100% filled").nth(len(MADE)).wait_for()
    assert page.get_by_text(re.compile("Unsynced|Missing|Failed")).count() == 0
    save_screenshot(page, "scan-lineage", height=1150)


def _covered(page: Page) -> float:
    """Return how much the newest event on an asset's page covers; 0 if there is none."""
    page.reload()
    row = page.locator("tr", has=page.get_by_text("covered", exact=True))
    row.or_(page.get_by_text("No events found", exact=True)).first.wait_for()
    return float(row.locator("td").nth(1).inner_text()) if row.count() else 0.0


def _data_version(page: Page, pages: Pages, scan: Scan, asset: str) -> str:
    page.goto(pages.scan_partition(asset, scan.name))
    page.get_by_text(re.compile("^(Show|Hide) tags")).wait_for()
    if (hidden := page.get_by_text("Show tags")).count():  # they stay unfolded from page to page
        hidden.click()
    return page.locator("tr", has=page.get_by_text("data_version", exact=True)).last.inner_text()


def _show_steps(page: Page) -> None:
    """Show what follows what, with room for all steps, and their names."""
    page.locator("button", has=page.get_by_role("img", name="expand_arrows")).first.click()
    page.locator("button", has=page.get_by_role("img", name="gantt_waterfall")).click()
    page.get_by_text("Succeeded (").click()
    bar = page.get_by_text(f"{MICROSCOPE}__raw_scan").first
    wait_until(lambda: (bar.bounding_box() or {}).get("width") == STEP_WIDTH, "the steps at their places")
