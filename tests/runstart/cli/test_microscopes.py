from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from runstart.cli import app

MICROSCOPE = """\
[microscopes.STEM]
title = "An [old] one"
scans = "file:raw"
counting = { background_threshold = 30 }
detectors = [{ name = "bright_field", outer = 20 }]
announcements = { topic = "STEM_scans" }
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RUNSTART_SCANS", raising=False)
    monkeypatch.setenv("COLUMNS", "240")
    (tmp_path / "microscopes.toml").write_text(MICROSCOPE)
    return tmp_path


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["microscopes", "check", *arguments])


@pytest.mark.parametrize(
    "text",
    [
        "STEM",
        "An [old] one",
        "(not there yet)",
        "announced on STEM_scans of default",
        "above 30",
        "bright_field: 0 to 20 px",
        "1024 MiB",
        "1 microscope, nothing to mend.",
    ],
)
def test_checking_microscopes_shows_them(folder: Path, text: str) -> None:
    result = run()
    assert result.exit_code == 0
    assert text in result.stdout


def test_a_folder_that_is_there_is_not_told_as_missing(folder: Path) -> None:
    (folder / "raw").mkdir()
    assert "not there yet" not in run().stdout


def test_a_mistake_is_one_line_on_standard_error(folder: Path) -> None:
    (folder / "microscopes.toml").write_text(MICROSCOPE.replace("file:raw", "raw"))
    result = run()
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("runstart: microscopes.toml:3: microscopes.STEM.scans: 'raw' is neither")
    assert result.stderr.count("\n") == 1


def test_the_help_has_examples() -> None:
    assert run("--help").stdout.count("runstart microscopes check") >= 2
