from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from runstart.cli import app

SITE = """\
[sites.OBS]
time_zone = "Europe/London"
first_night = 2026-01-01
exposures = "file:raw"
colors = { gp = [0, 0, 255] }
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RUNSTART_EXPOSURES", raising=False)
    monkeypatch.setenv("COLUMNS", "240")
    (tmp_path / "sites.toml").write_text(SITE)
    return tmp_path


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, list(arguments))


def test_checking_sites_shows_them(folder: Path) -> None:
    result = run("sites", "check")
    assert result.exit_code == 0
    for text in ("OBS", "Europe/London", "since 2026-01-01", "(not there yet)", "gp: 0, 0, 255", "1 site, nothing"):
        assert text in result.stdout


def test_a_folder_that_is_there_is_not_told_as_missing(folder: Path) -> None:
    (folder / "raw").mkdir()
    assert "not there yet" not in run("sites", "check").stdout


def test_a_file_without_sites_is_fine(folder: Path) -> None:
    (folder / "none.toml").touch()
    result = run("sites", "check", "none.toml")
    assert (result.exit_code, result.stdout) == (0, "0 sites, nothing to mend.\n")


def test_a_mistake_is_one_line_on_standard_error(folder: Path) -> None:
    (folder / "sites.toml").write_text(SITE.replace("file:raw", "raw"))
    result = run("sites", "check")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("runstart: sites.toml:4: sites.OBS.exposures: 'raw' is neither")
    assert result.stderr.count("\n") == 1


def test_the_help_has_examples() -> None:
    text = run("sites", "check", "--help").stdout
    assert text.count("runstart sites check") >= 2


def test_checking_sites_loads_no_library_of_images(folder: Path) -> None:
    heavy = ("numba", "astropy", "scipy", "PIL", "boto3", "dagster")
    code = (
        "import sys; from runstart.nights import read_sites; read_sites('sites.toml', {}); "
        f"sys.exit(any(name in sys.modules for name in {heavy}))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
