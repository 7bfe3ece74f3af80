"""A scan on Dagster's pages: found by the sensor, shown while it is written, and processed once more by clicking."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from ui_kit import (
    BATCH_BYTES,
    MICROSCOPE,
    NAVIGATION,
    Pages,
    materialize_scan,
    save_screenshot,
    screenshots_folder,
    wait_for_success,
    width_of,
)
from waiting import wait_until

from runstart.simulators.scan import ScanPlan, simulate_scan
from runstart.storage import FileStore

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

FRAMES_A_SECOND = 80.0
PLAN = ScanPlan(rate=FRAMES_A_SECOND, dropped=0.002)
SCAN = PLAN.file_name
FOLDER = f"scans/{MICROSCOPE}/{SCAN}"


@pytest.fixture(scope="module")
def store(pages: Pages) -> FileStore:
    return FileStore(pages.folder / "store")


@pytest.fixture(scope="module", autouse=True)
def camera(pages: Pages) -> Iterator[threading.Thread]:
    """A camera that writes one scan while the tests look."""
    stop = threading.Event()
    camera = threading.Thread(target=simulate_scan, args=(pages.scans, PLAN), kwargs={"stop": stop})
    camera.start()
    yield camera
    stop.set()
    camera.join()


def _status(store: FileStore) -> dict[str, Any]:
    keys = store.list(f"{FOLDER}/display/status.json")
    return json.loads(store.get(keys[0]).data) if keys else {"covered": 0.0, "ended": ""}


def _digest(store: FileStore) -> str:
    folder = json.loads(store.get(f"{FOLDER}/current.json").data)["folder"]
    return str(json.loads(store.get(f"{folder}/result.json").data)["digest"])


def test_a_scan_is_shown_while_it_is_written(
    page: Page, pages: Pages, store: FileStore, camera: threading.Thread
) -> None:
    wait_until(lambda: _status(store)["covered"] > 0.7, "70 % of the scan", 120, 0.2)
    page.goto(f"{pages.url}/assets/{MICROSCOPE}/center_of_mass?view=events")
    pictures = page.locator("td img")
    pictures.first.wait_for()
    assert camera.is_alive(), "the scan was over before its pictures were seen"
    assert all(width_of(picture) > 0 for picture in pictures.all())
    save_screenshot(page, "scan-live", height=1250)
    if (folder := screenshots_folder()) is not None:
        (folder / "scan-overview.png").write_bytes(store.get(f"{FOLDER}/display/overview.png").data)


@pytest.mark.parametrize("asset", ["center_of_mass", "virtual_images", "phase", "diffraction_pattern"])
def test_a_scan_that_is_done_shows_its_pictures(
    page: Page, pages: Pages, store: FileStore, camera: threading.Thread, asset: str
) -> None:
    wait_until(lambda: _status(store)["ended"] != "", "the end of the scan", 120, 0.2)
    page.goto(pages.scan_partition(asset, SCAN))
    page.get_by_text("Materialized", exact=True).wait_for()
    picture = page.locator("td img").first
    picture.wait_for()
    assert width_of(picture) > 0
    if asset == "virtual_images":
        save_screenshot(page, "scan-page", height=1000)


def test_the_account_of_frames_is_checked(page: Page, pages: Pages) -> None:
    page.goto(f"{pages.url}/assets/{MICROSCOPE}/raw_scan?view=checks")
    for check in ("frames_add_up", "complete"):
        page.get_by_text(check, exact=True).first.wait_for()
    page.get_by_text("Passed", exact=True).first.wait_for()


def test_the_same_scan_processed_by_clicking_has_the_same_result(
    page: Page, pages: Pages, store: FileStore
) -> None:
    followed = _digest(store)
    materialize_scan(page, pages, SCAN)
    page.wait_for_url("**/runs/*")
    wait_for_success(page)
    page.get_by_text("process_batch").first.wait_for()
    save_screenshot(page, "scan-run", height=900)
    assert BATCH_BYTES == "32MiB"
    assert _digest(store) == followed


def test_the_group_is_green_with_its_checks(page: Page, pages: Pages) -> None:
    width = 1500
    page.set_viewport_size({"width": NAVIGATION + width, "height": 1200})
    page.goto(f"{pages.url}/locations/definitions/asset-groups/scans_{MICROSCOPE}")
    page.get_by_text("2 / 2 Passed").first.wait_for()
    assert page.get_by_text("Unsynced").count() == 0
    save_screenshot(page, "scan-lineage", height=1200, width=width)
