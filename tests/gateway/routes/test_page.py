from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import httpx
import pytest
from facility_gateway import open_facility

from gateway.routes.page import FOLDER
from runstart.storage import FileStore

TEXT = {"Accept": "text/html"}
FILES = sorted(path.name for path in FOLDER.iterdir())
THEMES = {"light": ":root {", "dark": ':root[data-theme="dark"] {'}


class Tags(HTMLParser):
    """What a page consists of."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.inline = ""
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        self._inside = tag

    def handle_data(self, data: str) -> None:
        if self._inside in {"script", "style"}:
            self.inline += data.strip()


def test_a_browser_gets_the_page_and_oceans_clients_the_service(file_store: FileStore) -> None:
    with open_facility(file_store) as client:
        page, service = client.get("/", headers=TEXT), client.get("/")
    assert page.headers["content-type"].startswith("text/html")
    assert service.json()["software"] == "Operator service"
    assert page.headers["vary"] == service.headers["vary"] == "Accept"


def test_the_page_may_run_nothing_but_its_own_files(file_store: FileStore) -> None:
    with open_facility(file_store) as client:
        policy = client.get("/", headers=TEXT).headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    tags = Tags((FOLDER / "index.html").read_text())
    assert tags.inline == ""
    for tag, attributes in tags.found:
        assert not any(name.startswith("on") or name == "style" for name in attributes), (tag, attributes)
        for address in (attributes.get("src"), attributes.get("href")):
            assert address is None or address.startswith(("/page/", "#")), address


def test_every_file_of_the_page_is_served_with_its_kind_and_once(file_store: FileStore) -> None:
    kinds = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".html": "text/html"}
    with open_facility(file_store) as client:
        for name in FILES:
            answer = client.get(f"/page/{name}")
            assert answer.status_code == 200
            assert answer.headers["content-type"].startswith(kinds[Path(name).suffix])
            assert client.get(f"/page/{name}", headers={"If-None-Match": answer.headers["etag"]}).status_code == 304


@pytest.mark.parametrize("name", ["nothing.js", "..%2Fapp.py", "%2e%2e/app.py", ".", "main.js%00", "main.py"])
def test_nothing_else_is_served(file_store: FileStore, name: str) -> None:
    with open_facility(file_store) as client:
        assert client.get(f"/page/{name}").status_code in {400, 404}


def test_modules_import_what_is_there_and_nothing_from_elsewhere() -> None:
    for path in FOLDER.glob("*.js"):
        text = path.read_text()
        for imported in re.findall(r'from "([^"]+)"', text):
            assert imported.startswith("./"), (path.name, imported)
            assert (FOLDER / imported).is_file(), (path.name, imported)
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function", text), (
            path.name
        )
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text), path.name


def test_the_page_learns_whether_it_needs_a_token(file_store: FileStore) -> None:
    with open_facility(file_store) as client:
        assert client.get("/page/settings").json() == {"needs_token": False, "dagster_url": ""}
    with open_facility(file_store, open_reading=False, dagster_page_url="https://dagster.example.org") as client:
        told: httpx.Response = client.get("/page/settings")
    assert told.json() == {"needs_token": True, "dagster_url": "https://dagster.example.org"}


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize(
    ("ink", "ground", "least"),
    [
        *((ink, ground, 4.5) for ink in ("ink", "soft") for ground in ("ground", "surface", "sunken")),
        *((level, f"{level}-ground", 4.5) for level in ("good", "warn", "bad")),
        ("soft", "idle-ground", 4.5),
        ("accent", "surface", 4.5),
        ("accent", "ground", 4.5),
        ("bad", "surface", 4.5),
        ("warn", "surface", 4.5),
        ("accent-ink", "accent", 4.5),
        ("edge", "surface", 3.0),
        ("curve", "surface", 3.0),
        ("focus", "ground", 3.0),
        ("focus", "surface", 3.0),
    ],
)
def test_texts_and_lines_stand_out_from_their_ground(theme: str, ink: str, ground: str, least: float) -> None:
    colours = read_colours(theme)
    assert contrast(colours[ink], colours[ground]) >= least


def test_a_dark_system_and_a_choice_of_dark_look_the_same() -> None:
    text = (FOLDER / "tokens.css").read_text()
    assert declarations(text, ':root:not([data-theme="light"]) {') == declarations(text, THEMES["dark"])


def declarations(text: str, selector: str) -> dict[str, str]:
    block = text[text.index(selector) :].partition("}")[0]
    return dict(re.findall(r"--([a-z-]+):\s*([^;]+);", block))


def read_colours(theme: str) -> dict[str, str]:
    return {
        name: value
        for name, value in declarations((FOLDER / "tokens.css").read_text(), THEMES[theme]).items()
        if re.fullmatch(r"#[0-9a-f]{6}", value)
    }


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours as WCAG defines it."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
