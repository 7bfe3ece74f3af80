"""A data operation from the Launchpad to the picture, as a user clicks."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from ui_kit import (
    SITE,
    VIEWPORT,
    Pages,
    fill_in,
    launch,
    open_launchpad,
    save_screenshot,
    wait_for_success,
    width_of,
)

from runstart.demo.place import find_checkout
from runstart.nights import load_record, read_sites
from runstart.storage import FileStore

if TYPE_CHECKING:
    from playwright.sync_api import Page

# The browser's driver leaves its thread with a running event loop, in which other tests fail.
pytestmark = [pytest.mark.real, pytest.mark.alone, pytest.mark.timeout(300)]

COLORS = {"gp": "{r: 0, g: 80, b: 255}", "rp": "{r: 60, g: 255, b: 60}", "ip": "{r: 255, g: 60, b: 0}"}


def _files(names: list[str]) -> str:
    return "input_files:\n" + "".join(f"- {SITE}/{name}\n" for name in names)


def test_the_launchpad_tells_what_each_field_is_and_its_default(page: Page, pages: Pages) -> None:
    editor = open_launchpad(page, pages, "mean_stack")
    assert "sigma: 3.0" in editor.inner_text()
    fill_in(page, editor, _files(pages.science(pages.nights[0])))
    for told in ("Two images or more.", "2 to 999 of them.", "0.5 to 100.", "By default 3.", "One of: none, wcs."):
        page.get_by_text(re.compile(re.escape(told))).first.wait_for()
    save_screenshot(page, "operation-launchpad", height=700)


def test_a_misspelled_field_is_told_before_the_launch(page: Page, pages: Pages) -> None:
    editor = open_launchpad(page, pages, "median")
    fill_in(page, editor, "input_file: []\n")
    page.get_by_text(re.compile('unexpected config entry "input_file"')).first.wait_for()
    assert page.get_by_role("button", name="Launch Run").is_disabled()


def test_a_median_is_followed_to_its_picture(page: Page, pages: Pages) -> None:
    launch(page, pages, "median", _files(pages.science(pages.nights[0])[:2]))
    wait_for_success(page)
    for line in (re.compile(r"^\s*0%  "), re.compile(r"^\s*100%  Done")):
        page.get_by_text(line).first.wait_for()

    row = (
        page.get_by_role("row").filter(has_text="larger picture").or_(page.locator("tr", has_text="larger picture"))
    )
    row.last.get_by_text("[Show Markdown]").click()
    assert width_of(page.get_by_role("dialog").locator("img")) > 200
    page.get_by_role("dialog").get_by_role("button", name="Close").click()

    page.get_by_text("View Asset").first.click()
    page.get_by_role("tab", name="Events").click()
    assert width_of(page.get_by_role("img", name="Median of 2").first) > 0, "in place, without a click"


def test_a_color_image_is_made_of_a_nights_stacks(page: Page, pages: Pages, night: str) -> None:
    store = FileStore(pages.folder / "store")
    record = load_record(store, read_sites(find_checkout() / "sites.toml")[SITE], night, "stacks")
    assert record is not None
    config = "color_channels:\n"
    for product in record.products:
        sky, noise = product.figures["sky"], product.figures["noise"]
        config += f"- source: store\n  basename: {product.basename}\n  color: {COLORS[product.filter]}\n"
        config += f"  zmin: {sky - noise:.1f}\n  zmax: {sky + 100 * noise:.1f}\n"
    launch(page, pages, "color_image", config)
    wait_for_success(page)
    page.locator("tr", has_text="larger picture").last.get_by_text("[Show Markdown]").click()
    assert width_of(page.get_by_role("dialog").locator("img")) > 200
    page.set_viewport_size({"width": VIEWPORT[0], "height": 1000})
    save_screenshot(page, "operation-run", height=1000)


@pytest.mark.parametrize(
    ("files", "what", "remedy"),
    [
        (1, "input_files has 1 files; it needs at least 2.", "Add some."),
        (0, f"There is no file {SITE}/nothing.fits", "Look at the spelling"),
    ],
    ids=["too few", "missing"],
)
def test_a_bad_request_fails_with_the_words_of_the_alert(
    page: Page, pages: Pages, files: int, what: str, remedy: str
) -> None:
    names = pages.science(pages.nights[0])[:1] if files else ["nothing.fits", "nothing-else.fits"]
    launch(page, pages, "median", _files(names))
    page.get_by_text("RUN_FAILURE").wait_for()
    page.get_by_text(re.compile(re.escape(what))).first.wait_for()
    page.get_by_text(re.compile(re.escape(remedy))).first.wait_for()
    assert page.get_by_text("STEP_UP_FOR_RETRY").count() == 0
