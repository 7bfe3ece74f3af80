"""The live page in a browser, with a run in progress: shown as it happens, by a gateway that may be killed."""

from __future__ import annotations

import io
import json
import re
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from live_page_browser import LiveGateway, Seen
from live_page_kit import NIGHT, ScriptedRun, put_night, put_scan, simulated_instruments
from PIL import Image
from ui_kit import screenshots_folder
from waiting import wait_until

from gateway.tokens import Scope, TokenBook
from runstart.storage import FileStore

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext

WIDE, PHONE = (1440, 900), (360, 740)
SIMSANS = simulated_instruments("SIMSANS")["SIMSANS"]

# The page's promise is one of seconds: what else the machine does must not be what is measured.
pytestmark = [pytest.mark.real, pytest.mark.alone, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LiveGateway, FileStore]]:
    """One gateway for all tests: it holds nothing, and need not begin anew."""
    folder = tmp_path_factory.mktemp("live-page")
    store = FileStore(folder / "store")
    gateway = LiveGateway(folder, store)
    yield gateway, store
    gateway.kill()


@pytest.fixture
def store(served: tuple[LiveGateway, FileStore]) -> FileStore:
    """An empty store."""
    _, store = served
    for key in store.list():
        store.delete(key)
    return store


@pytest.fixture
def gateway(served: tuple[LiveGateway, FileStore], store: FileStore) -> LiveGateway:
    gateway, _ = served
    if not gateway.is_running:
        gateway.start()
    return gateway


@pytest.fixture
def run(store: FileStore) -> Iterator[ScriptedRun]:
    """A run of SIMSANS that has gone on for a while; it tells more when a test says so."""
    scripted = ScriptedRun(store, SIMSANS, 41, age_s=60)
    for step in range(120):
        scripted.take(at_s=step / 2)
    scripted.tell()
    yield scripted
    scripted.stop()


@pytest.fixture
def look(browser: Browser, gateway: LiveGateway) -> Iterator[Any]:
    """Opens the page; nothing may go wrong in it."""
    contexts: list[BrowserContext] = []
    seen: list[Seen] = []

    def opening(path: str = "", size: tuple[int, int] = WIDE, scheme: str = "light") -> Seen:
        context = browser.new_context(
            viewport={"width": size[0], "height": size[1]},
            color_scheme=scheme,  # type: ignore[arg-type]
            reduced_motion="reduce",
        )
        contexts.append(context)
        seen.append(Seen(context, gateway.url, path))
        return seen[-1]

    yield opening
    for context in contexts:
        context.close()
    assert [error for each in seen for error in each.errors] == []


def test_all_instruments_are_seen_at_a_glance(look: Any, run: ScriptedRun) -> None:
    run.changes = {"lag_seconds": 84.0}
    run.tell()
    page = look().page
    running = page.get_by_role("link", name=re.compile("SIMSANS"))
    running.get_by_text("Running", exact=True).wait_for()
    running.get_by_text("84", exact=True).wait_for()
    running.get_by_text("84 s behind").wait_for()
    page.get_by_role("link", name=re.compile("SANS2D")).get_by_text("Idle", exact=True).wait_for()
    page.get_by_text("1 of 2 running, 1 thing is wrong.").wait_for()
    running.click()
    page.get_by_role("heading", level=1, name="SIMSANS").wait_for()


def test_what_a_run_tells_is_seen_within_two_seconds(look: Any, run: ScriptedRun) -> None:
    seen = look("#/instruments/SIMSANS")
    seen.figure("Events").filter(has_text="960").wait_for()
    charts = ("Bank rear", "TOF spectrum", "Event rate", "Log temperature", "Radial average")
    before = {chart: wait_until(lambda chart=chart: seen.pixels(chart), chart) for chart in charts}
    assert all(int(painted.split()[0]) > 3 for painted in before.values()), "they are drawn, not blank"
    seconds = []
    for text in ("1.16", "1.36", "1.56", "1.76", "1.96"):
        run.take(200_000)
        began = time.monotonic()
        run.tell()
        seen.figure("Events").filter(has_text=text).wait_for()
        seconds.append(time.monotonic() - began)
    told = f"{statistics.median(seconds):.2f} s in the middle, {max(seconds):.2f} s at most"
    sys.stdout.write(f"From the store to the page: {told}\n")
    assert max(seconds) < 2.0
    for chart in charts:
        wait_until(lambda chart=chart: seen.pixels(chart) != before[chart], f"a new {chart}")
    assert run.events == 1_960_000
    seen.page.get_by_text("Adds up").wait_for()
    seen.page.get_by_text("counts in bank rear").wait_for()


def test_a_page_outlives_its_gateway_and_says_when_it_is_old(
    look: Any, run: ScriptedRun, gateway: LiveGateway
) -> None:
    seen = look("#/instruments/SIMSANS")
    seen.page.get_by_text("Live", exact=True).wait_for()
    seen.page.evaluate("window.isTheSamePage = true")
    gateway.kill()
    old = seen.page.locator("#old").filter(has_text="what you see is of")
    old.wait_for()
    seen.page.get_by_text("Not connected", exact=True).wait_for()
    run.take(100_000)
    run.tell()
    gateway.start()
    seen.figure("Events").filter(has_text="1.06").wait_for()
    old.wait_for(state="hidden")
    assert seen.page.evaluate("window.isTheSamePage")


def test_a_run_whose_process_was_killed_is_said_to_be_silent(look: Any, run: ScriptedRun) -> None:
    run.changes = {"written_at": time.time() - 20}
    run.tell()
    seen = look("#/instruments/SIMSANS")
    seen.page.get_by_text(re.compile(r"figures are 2\d s old")).wait_for()
    run.changes = {"written_at": time.time() - 45}
    run.tell()
    seen.page.get_by_text("Silent", exact=True).wait_for()


def test_a_run_that_ends_becomes_its_result_and_the_next_one_follows(
    look: Any, run: ScriptedRun, store: FileStore
) -> None:
    seen = look("#/instruments/SIMSANS")
    seen.page.get_by_text("Running", exact=True).wait_for()
    run.finish()
    seen.page.get_by_text("Finished", exact=True).wait_for()
    seen.figure("Events").filter(has_text="960").wait_for()
    following = ScriptedRun(store, SIMSANS, 42)
    following.take(1234)
    following.tell()
    seen.figure("Events").filter(has_text="1,234").wait_for()
    seen.page.get_by_label("Run", exact=True).select_option(run.key)
    seen.figure("Events").filter(has_text="960").wait_for()
    assert seen.page.url.endswith(run.key)


def test_a_scan_is_seen_to_grow_and_last_night_has_its_pictures(
    look: Any, store: FileStore, gateway: LiveGateway
) -> None:
    def draw(side: int, kind: str) -> bytes:
        data = io.BytesIO()
        Image.new("RGB", (side, side), "navy").save(data, kind)
        return data.getvalue()

    def wait_for_width(name: str, side: int) -> None:
        picture = page.get_by_role("img", name=name)
        wait_until(lambda: picture.evaluate("image => image.naturalWidth") == side, f"{side} pixels of {name}")

    put_scan(store, draw(30, "PNG"))
    put_night(store, {"small": draw(20, "JPEG"), "large": draw(400, "JPEG")})
    gateway.kill()
    gateway.start()  # another one has not listed the empty store just now
    page = look("#/scans").page
    page.get_by_text("Being taken", exact=True).wait_for()
    wait_for_width("Overview of scan scan_0001.frames: 75 % seen", 30)
    put_scan(store, draw(31, "PNG"), covered=0.9)
    wait_for_width("Overview of scan scan_0001.frames: 90 % seen", 31)
    page.get_by_role("navigation").get_by_text("Nights").click()
    page.get_by_text(f"the night of {NIGHT}, 2 exposures, 2 could not be used or made").wait_for()
    wait_for_width("M51 gp", 20)
    page.get_by_role("button", name="M51 gp").press("Enter")
    wait_for_width("M51 gp", 400)


def test_what_is_not_there_is_said(look: Any, run: ScriptedRun) -> None:
    page = look("#/instruments/NOBODY").page
    page.get_by_role("heading", name="Nothing here").wait_for()
    page.get_by_role("navigation").get_by_text("Instruments").click()
    page.get_by_text("Running", exact=True).wait_for()


def test_texts_of_data_are_never_read_as_html(look: Any, run: ScriptedRun) -> None:
    nasty = '<img src="x" onerror="window.wasRead = true"><script>window.wasRead = true</script>'
    run.name = nasty
    run.script_error = nasty
    run.changes = {"troubles": [{"kind": "script", "name": nasty, "text": nasty}]}
    run.tell()
    for path in ("", "#/instruments/SIMSANS"):
        page = look(path).page
        page.get_by_text(nasty).first.wait_for()
        assert page.evaluate("window.wasRead") is None


def test_a_token_is_asked_for_where_reading_needs_one(
    browser: Browser, tmp_path: Path, store: FileStore, run: ScriptedRun
) -> None:
    closed = LiveGateway(tmp_path, store, RUNSTART_GATEWAY_OPEN_READING="0")
    closed.start()
    context = browser.new_context()
    try:
        seen = Seen(context, closed.url)
        page = seen.page
        page.get_by_label("Token").fill("runstart_" + "a" * 43)
        page.keyboard.press("Enter")
        page.get_by_role("alert").filter(has_text="not known").wait_for()
        text, token = TokenBook(store).new("hutch", Scope.READ)
        page.get_by_label("Token").fill(text)
        page.get_by_role("button", name="Show the data").click()
        page.get_by_text("Running", exact=True).wait_for()
        page.goto(f"{closed.url}/#/instruments/SIMSANS")
        wait_until(lambda: int(seen.pixels("Bank rear").split()[0]) > 3, "a picture")
        assert text not in page.url
        assert text not in json.dumps(page.evaluate("Object.values(localStorage)"))
        page.get_by_role("button", name="Sign out").click()
        page.get_by_label("Token").fill(text)
        page.get_by_label("Keep it on this device").check()
        page.get_by_role("button", name="Show the data").click()
        page.get_by_text("Running", exact=True).wait_for()
        Seen(context, closed.url).page.get_by_text("Running", exact=True).wait_for()
        TokenBook(store).revoke(token.id)
        page.reload()
        page.get_by_role("alert").filter(has_text="not known").wait_for()
        assert seen.errors == []
    finally:
        context.close()
        closed.kill()


def test_charts_are_read_by_keys_and_have_tables_behind(look: Any, run: ScriptedRun) -> None:
    page = look("#/instruments/SIMSANS").page
    spectrum = page.get_by_role("img", name=re.compile("^TOF spectrum"))
    reading = page.locator(".tof .read")
    reading.filter(has_text="Highest").wait_for()
    spectrum.focus()
    page.keyboard.press("ArrowRight")
    reading.filter(has_text="time of flight 0.25 ms").wait_for()
    page.keyboard.press("ArrowRight")
    reading.filter(has_text="time of flight 0.75 ms").wait_for()
    page.get_by_role("img", name=re.compile("^Bank rear")).focus()
    page.keyboard.press("ArrowUp")
    page.locator(".detector .read").first.filter(has_text="row 64, column 64").wait_for()
    assert page.locator("canvas").count() == page.locator(".chart details").count()
    for summary in page.locator(".chart details > summary").all():
        summary.click()
    tables = page.locator(".chart table")
    wait_until(lambda: tables.count() == page.locator("canvas").count(), "a table behind every chart")
    total = sum(
        float(text.replace(",", "")) for text in page.locator(".detector .bank:first-child td").all_inner_texts()
    )
    assert total == pytest.approx(run.product().views.bank_image(0).sum(), rel=1e-3)


def test_who_hears_the_page_is_told_of_changes_and_not_of_figures(
    look: Any, run: ScriptedRun, gateway: LiveGateway
) -> None:
    page = look("#/instruments/SIMSANS").page
    page.get_by_text("Running", exact=True).wait_for()
    told = page.locator("[aria-live=polite]")
    before = told.all_inner_texts()
    run.take(200_000)
    run.tell()
    page.locator(".figure dd").filter(has_text="1.16").wait_for()
    assert told.all_inner_texts() == before
    gateway.kill()
    told.filter(has_text="The connection is lost.").wait_for(state="attached")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_in_the_way_of_anybody_in_any_view(look: Any, run: ScriptedRun, scheme: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    views = {
        "": "1 of 2 running",
        "#/instruments/SIMSANS": "counts in bank rear",
        "#/scans": "No scan yet",
        "#/nights": "no night has pictures yet",
    }
    for path, text in views.items():
        page = look(path, scheme=scheme).page
        page.get_by_text("Live", exact=True).wait_for()
        page.get_by_text(text).first.wait_for()
        for summary in page.locator(".tof summary").all():
            summary.click()
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
        assert page.locator("h1").count() == 1


def test_keys_reach_everything_and_the_focus_is_seen(look: Any, run: ScriptedRun) -> None:
    page = look().page
    page.get_by_text("Running", exact=True).wait_for()
    reached = []
    for _ in range(12):
        page.keyboard.press("Tab")
        name, outline = page.evaluate(
            """() => {
              const active = document.activeElement;
              return [active.textContent.trim().slice(0, 24), getComputedStyle(active).outlineStyle];
            }"""
        )
        if name and outline != "none":
            reached.append(name)
    assert reached[0] == "Skip to the content"
    assert {"Instruments", "Scans", "Nights", "Theme: auto"} <= set(reached)
    assert any(name.startswith("SIMSANS") for name in reached)


@pytest.mark.parametrize(
    ("path", "last"), [("", "Simulated microscope"), ("#/instruments/SIMSANS", "counts in bank rear")]
)
def test_nothing_is_wider_than_a_phone(look: Any, run: ScriptedRun, path: str, last: str) -> None:
    run.name = "a-very-long-name-of-a-run-without-any-space-" * 3
    run.tell()
    page = look(path, PHONE).page
    page.get_by_text("Running", exact=True).wait_for()
    page.get_by_text(last).first.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE[0]


def test_the_theme_is_the_systems_until_one_is_chosen(look: Any, run: ScriptedRun) -> None:
    page = look(scheme="dark").page
    button = page.get_by_role("button", name=re.compile("Theme"))

    def is_dark() -> bool:
        colour = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        return sum(map(int, re.findall(r"\d+", colour)[:3])) < 200

    button.wait_for()
    assert is_dark()
    button.click()
    assert (button.inner_text(), is_dark()) == ("Theme: light", False)
    button.click()
    assert (button.inner_text(), is_dark()) == ("Theme: dark", True)
    page.reload()
    button.wait_for()
    assert button.inner_text() == "Theme: dark"


@pytest.mark.parametrize(
    ("name", "path", "size", "scheme"),
    [
        ("live-page-instruments", "", WIDE, "light"),
        ("live-page-run", "#/instruments/SIMSANS", (1440, 1300), "light"),
        ("live-page-dark", "#/instruments/SIMSANS", (1440, 1300), "dark"),
        ("live-page-phone", "#/instruments/SIMSANS", (390, 1200), "light"),
    ],
)
def test_pictures_of_the_page_are_taken_for_the_documentation(
    look: Any, run: ScriptedRun, store: FileStore, name: str, path: str, size: tuple[int, int], scheme: str
) -> None:
    folder = screenshots_folder()
    if folder is None:
        pytest.skip("RUNSTART_SCREENSHOTS names no folder.")
    behind = ScriptedRun(store, simulated_instruments("SANS2D")["SANS2D"], 7, age_s=20)
    behind.take(40_000)
    behind.changes = {"lag_seconds": 84.0}
    for live in (run, behind):
        live.start()
    try:
        page = look(path, size, scheme).page
        page.get_by_text("Running", exact=True).first.wait_for()
        page.wait_for_timeout(8_000)  # so that there is something to see
        page.screenshot(path=folder / f"{name}.png", animations="disabled")
    finally:
        behind.stop()
