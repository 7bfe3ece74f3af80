"""Operators and pipelines as a user clicks: the documentation's own operator, and a scan that a pipeline is given."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from ui_kit import (
    VIEWPORT,
    Pages,
    fill_in,
    launch,
    open_launchpad,
    open_picture,
    save_screenshot,
    wait_for_success,
    width_of,
)

from runstart.frame_files import write_counted
from runstart.frames import SparseFrames
from runstart.simulators.scan import ScanPlan, true_events

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

# The browser's driver leaves its thread with a running event loop, in which other tests fail.
pytestmark = [pytest.mark.real, pytest.mark.alone, pytest.mark.timeout(300)]

EXAMPLE = "operator_blur_images"
PIPELINE = "center_of_mass"
SCAN = ScanPlan(scan_shape=(32, 32), frame_shape=(96, 96))
LOSSES = ("failed", "lost before", "inside", "forgotten", "restarts")
STAGES = ("reader", "partial", "reduce", "display")


def test_the_launchpad_tells_parameters_with_bounds_and_defaults(page: Page, pages: Pages) -> None:
    editor = open_launchpad(page, pages, EXAMPLE)
    assert "sigma: 2.5" in editor.inner_text()
    fill_in(page, editor, "files: [picture.npy]\n")
    for told in ("Paths of this machine", "0 to 50", "By default 2.5"):
        page.get_by_text(re.compile(re.escape(told))).first.wait_for()


def test_an_operator_is_followed_to_its_picture(page: Page, pages: Pages) -> None:
    picture = pages.folder / "tmp" / "picture.npy"
    y, x = np.mgrid[:200, :200]
    np.save(picture, (x // 20 + y // 20) % 2 * 100.0)
    launch(page, pages, EXAMPLE, f"files: [{picture}]\nsigma: 8\n")
    wait_for_success(page)
    page.set_viewport_size({"width": VIEWPORT[0], "height": 950})
    page.goto(f"{pages.url}/assets/operators/blur-images")
    shown = page.locator("td img").first
    shown.wait_for()
    assert width_of(shown) > 0, "in place, without a click"
    save_screenshot(page, "operator-page", height=950)
    assert width_of(open_picture(page, "larger picture")) > 200


@pytest.fixture(scope="module")
def run_address(browser: Browser, pages: Pages) -> str:
    """The page of a run of the pipeline, on a simulated scan, that has ended well."""
    scan = _write_scan(pages.folder / "tmp" / "scan.h5")
    source = f"reader: {{raw_data_dir: {scan}, batch_size_mb: 0.01}}"
    page = browser.new_page()
    launch(page, pages, f"pipeline_{PIPELINE}", f"operators: {{{source}}}\ntriggers: ['reader:read_now']\n")
    wait_for_success(page)
    page.close()
    return page.url


def test_the_log_tells_what_each_operator_does(page: Page, run_address: str) -> None:
    page.goto(run_address)
    page.get_by_text("RUN_SUCCESS").wait_for()
    page.get_by_placeholder("Filter").fill("queue")
    page.get_by_text("RUN_SUCCESS").wait_for(state="detached")
    told = page.get_by_text(re.compile(r"finished, \d+ s: reader .*; partial .*; reduce .*; display "))
    told.first.wait_for()
    save_screenshot(page, "pipeline-run", top=540, height=375)


@pytest.mark.usefixtures("run_address")
def test_the_map_stands_on_the_page_of_the_display(page: Page, pages: Pages) -> None:
    page.goto(f"{pages.url}/assets/pipelines/{PIPELINE}/display")
    centers = page.locator("td img").first
    centers.wait_for()
    assert width_of(centers) > 0, "in place, without a click"


@pytest.mark.usefixtures("run_address")
def test_every_message_is_accounted_for(page: Page, pages: Pages) -> None:
    page.set_viewport_size({"width": VIEWPORT[0], "height": 950})
    page.goto(f"{pages.url}/assets/pipelines/{PIPELINE}?view=events")
    page.get_by_text("finished", exact=True).first.wait_for()
    counts = {stage: _counts(page, stage) for stage in STAGES}
    sent = counts["reader"]["emitted"]
    assert sent > 1
    handed_on = [(each["received"], each["emitted"]) for each in counts.values()]
    assert handed_on == [(0, sent), (sent, sent), (sent, 1), (1, 0)]
    assert {each[name] for each in counts.values() for name in LOSSES} == {0}
    save_screenshot(page, "pipeline-page", height=950)
    assert width_of(open_picture(page, "graph")) > 400


@pytest.mark.usefixtures("run_address")
def test_each_operator_of_the_pipeline_has_an_asset_with_what_it_did(page: Page, pages: Pages) -> None:
    page.set_viewport_size({"width": VIEWPORT[0], "height": 800})
    page.goto(f"{pages.url}/locations/definitions/asset-groups/pipelines")
    for name in (*STAGES, PIPELINE):
        page.get_by_text(name, exact=True).first.wait_for()
    page.get_by_text("Materialized", exact=True).nth(len(STAGES)).wait_for()
    page.get_by_text("Loading...").first.wait_for(state="detached")
    save_screenshot(page, "pipeline-lineage", top=50, height=750)


def _write_scan(path: Path) -> Path:
    """Write a simulated scan as counted frames, one for each position."""
    frames = [true_events(SCAN, slot) for slot in range(SCAN.positions)]
    starts = np.cumsum([0, *map(len, frames)])
    events = SparseFrames(np.arange(SCAN.positions), starts, np.concatenate(frames), SCAN.frame_shape)
    write_counted(path, events, SCAN.scan_shape, SCAN.frame_shape)
    return path


def _counts(page: Page, operator: str) -> dict[str, int]:
    """Return the counts in an operator's row of a session's account."""
    table = page.locator("table table", has=page.get_by_text("lost before", exact=True)).first
    names = table.locator("th").or_(table.locator("tr").first.locator("td")).all_inner_texts()
    row = table.locator("tr", has=page.get_by_text(operator, exact=True)).last
    values = row.locator("td").all_inner_texts()
    return {name: int(value) for name, value in zip(names, values, strict=True) if value.isdigit()}
