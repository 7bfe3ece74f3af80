"""The nights of a site, as a user clicks: one night, its pictures and checks, and a backfill of some."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from ui_kit import NAVIGATION, RUN_TIMEOUT, SITE, WIDTH, Pages, materialize, save_screenshot, width_of

if TYPE_CHECKING:
    from playwright.sync_api import Page

ASSETS = 8

# The browser's driver leaves its thread with a running event loop, in which other tests fail.
pytestmark = [pytest.mark.real, pytest.mark.alone, pytest.mark.timeout(300)]


@pytest.mark.parametrize("asset", ["master_flat", "stacks", "color_images", "source_catalog"])
def test_a_night_is_green_and_shows_its_pictures(page: Page, pages: Pages, night: str, asset: str) -> None:
    page.goto(pages.partition(asset, night))
    page.get_by_text("Materialized", exact=True).wait_for()
    pictures = page.locator("td img")
    pictures.first.wait_for()
    assert all(width_of(picture) > 0 for picture in pictures.all()), "in place, without a click"
    if asset == "color_images":
        save_screenshot(page, "night-page", height=1000)


def test_exposures_are_summarized_and_listed(page: Page, pages: Pages, night: str) -> None:
    page.goto(pages.partition("exposures", night))
    for kind, files in (("bias", 5), ("dark", 3), ("science", 2)):
        page.locator("tr", has_text=kind).filter(has_text=str(files)).first.wait_for()
    page.get_by_text(pages.science(night)[0]).first.wait_for()


def test_an_asset_is_up_to_date_after_its_night(page: Page, pages: Pages, night: str) -> None:
    page.goto(pages.partition("stacks", night))
    page.get_by_text("Materialized", exact=True).wait_for()
    assert page.get_by_text("Unsynced").count() == 0


def test_a_range_of_nights_is_backfilled_by_clicking(page: Page, pages: Pages, night: str) -> None:
    first, last = pages.nights[0], pages.nights[-2]
    number = f"{len(pages.nights) - 1} partitions"
    materialize(page, pages, f"[{first}...{last}]", number)
    page.wait_for_url("**/runs/b/*")
    page.get_by_text("100% completed").nth(ASSETS - 1).wait_for(timeout=RUN_TIMEOUT)
    page.get_by_text("Succeeded", exact=True).nth(1).wait_for()  # the state, beside a column's heading
    save_screenshot(page, "nights-backfill", height=750)

    page.goto(f"{pages.url}/runs?view=backfills")
    page.locator("div", has_text=number).filter(has=page.get_by_text("Success", exact=True)).last.wait_for()
    for made in (first, last):
        page.goto(pages.partition("source_catalog", made))
        page.get_by_text("Materialized", exact=True).wait_for()


def test_checks_tell_what_was_found(page: Page, pages: Pages, night: str) -> None:
    page.goto(f"{pages.url}/assets/{SITE}/master_bias?view=checks")
    for check in ("bias_level", "bias_noise", "enough_biases"):
        page.get_by_text(check, exact=True).first.wait_for()
    page.get_by_text("The median bias level is").wait_for()
    page.get_by_text("Passed", exact=True).first.wait_for()
    save_screenshot(page, "nights-checks", height=880)


def test_the_group_shows_all_assets_with_their_checks(page: Page, pages: Pages, night: str) -> None:
    width = 2200
    page.set_viewport_size({"width": NAVIGATION + width, "height": 800})
    page.goto(f"{pages.url}/locations/definitions/asset-groups/nights_{SITE}")
    page.get_by_text("3 / 3 Passed").first.wait_for()
    assert width > WIDTH
    save_screenshot(page, "nights-lineage", height=800, width=width)
