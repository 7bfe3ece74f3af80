from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from scan_work_kit import FRAMES, draw_frames, write_scan
from typer.testing import CliRunner

from runstart.cli import app
from runstart.scans.digest import digest_product
from runstart.scans.nexus import read_scan_nexus

MICROSCOPES = """\
[microscopes.{name}]
scans = "file:scans"
center = [7.5, 5.5]

[[microscopes.{name}.detectors]]
name = "bright_field"
outer = 4
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    (tmp_path / "microscopes.toml").write_text(MICROSCOPES.format(name="ARM"))
    write_scan(tmp_path / "scan.frames", draw_frames())
    return tmp_path


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, list(arguments))


def test_showing_a_scan_tells_the_account_of_its_frames(folder: Path) -> None:
    write_scan(folder / "short.frames", draw_frames()[:20], closed=False)
    result = run("scans", "show", "short.frames")
    rows = {
        line.split("│")[1].strip(): line.split("│")[2].strip() for line in result.stdout.splitlines() if "│" in line
    }
    assert (rows["expected"], rows["seen"], rows["missing"]) == (str(FRAMES), "20", str(FRAMES - 20))


def test_processing_a_scan_leaves_its_file_and_pictures(folder: Path) -> None:
    result = run("scans", "process", "scan.frames")
    assert result.exit_code == 0, result.output
    results = folder / "scan.frames.results"
    assert {"scan.nxs", "overview.png", "virtual_images.png"} <= {path.name for path in results.iterdir()}
    product = read_scan_nexus(results / "scan.nxs")
    assert product.pattern.sum() == draw_frames().sum()


def test_processing_twice_gives_equal_results(folder: Path) -> None:
    products = []
    for out in ("one", "two"):
        run("scans", "process", "scan.frames", "--out", out)
        products.append(read_scan_nexus(folder / out / "scan.nxs"))
    assert digest_product(products[0]) == digest_product(products[1])


def test_several_microscopes_must_be_told_apart(folder: Path) -> None:
    with (folder / "microscopes.toml").open("a") as file:
        file.write(MICROSCOPES.format(name="TITAN"))
    result = run("scans", "process", "scan.frames")
    assert result.exit_code == 1
    assert "one of: ARM, TITAN" in result.output


def test_a_file_of_no_frames_is_told(folder: Path) -> None:
    (folder / "notes.txt").write_text("nothing")
    result = run("scans", "show", "notes.txt")
    assert result.exit_code == 1
    assert "no file of frames" in result.output
