"""A browser on Dagster's pages, for the tests marked `real`: both are started once for all of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from ui_kit import CHROMIUM_ARGUMENTS, VIEWPORT, Pages, find_chromium, materialize, wait_for_success
from waiting import PATIENCE

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The system's Chromium without a window."""
    path = find_chromium()
    if path is None:
        pytest.skip("There is no Chromium (Debian: chromium).")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(CHROMIUM_ARGUMENTS))
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def pages(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pages]:
    """Dagster on some simulated nights: leave it running."""
    pages = Pages(tmp_path_factory.mktemp("pages"))
    try:
        pages.start()
        yield pages
    finally:
        pages.stop()


def _open(browser: Browser) -> Page:
    width, height = VIEWPORT
    page = browser.new_page(viewport={"width": width, "height": height})
    page.set_default_timeout(30_000 * PATIENCE)
    return page


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """An empty tab of a new user."""
    page = _open(browser)
    yield page
    page.close()


@pytest.fixture(scope="session")
def night(browser: Browser, pages: Pages) -> str:
    """The newest night, all of whose assets have been materialized by clicking."""
    page = _open(browser)
    materialize(page, pages, pages.nights[-1], "1 partition")
    page.wait_for_url("**/runs/*")
    wait_for_success(page)
    page.close()
    return pages.nights[-1]
