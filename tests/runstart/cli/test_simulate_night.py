from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from runstart.cli import app
from runstart.cli.simulate_night import ScenarioName
from runstart.simulators import Scenario, read_truth

SMALL = ["--size", "64x96", "--filters", "gp, rp", "--objects", "1", "--exposures", "1", "--biases", "2"]
SMALL += ["--darks", "1", "--flats", "1"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RUNSTART_KAFKA", raising=False)
    monkeypatch.setenv("COLUMNS", "160")
    return tmp_path


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["simulate", *arguments])


def test_the_help_has_examples() -> None:
    text = run("night", "--help").stdout
    assert "Examples" in text
    assert text.count("runstart simulate night") >= 3
    assert "night" in run("--help").stdout


def test_the_scenarios_are_those_of_the_library() -> None:
    assert [name.value for name in ScenarioName] == [scenario.value for scenario in Scenario]


def test_consecutive_nights_end_at_the_date(folder: Path) -> None:
    result = run("night", "exposures", *SMALL, "--nights", "3", "--date", "2026-03-01", "--compress")
    assert result.exit_code == 0, result.output
    days = {path.name.split("-")[1] for path in (folder / "exposures").glob("SIMOBS-*.fits.fz")}
    assert days == {"20260227", "20260228", "20260301"}
    assert "SIMOBS 2026-03-01: 7 of 7 exposures" in result.stdout
    for day in days:
        assert read_truth(folder / "exposures" / ".truth" / f"SIMOBS-{day}-truth.json").day_obs == day


def test_options_reach_the_night(folder: Path) -> None:
    options = ["--site", "ABC", "--scenario", "clouds", "--seed", "7", "--truth", "true", "--time-zone"]
    result = run("night", ".", *SMALL, *options, "America/Santiago", "--exposure-time", "5", "--seeing", "2")
    assert result.exit_code == 0, result.output
    (path,) = (folder / "true").iterdir()
    truth = read_truth(path)
    assert (truth.site, truth.scenario, truth.seed, truth.shape) == ("ABC", "clouds", 7, (64, 96))
    assert truth.time_zone == "America/Santiago"
    assert truth.exposures[-1].exposure_time_s == 5
    assert len(list(folder.glob("ABC-*.fits"))) == 7


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["night", "x", "--date", "tomorrow"], "'tomorrow' is no date"),
        (["night", "x", "--site", "a/b"], "Site 'a/b' is no name for files"),
        (["night", "x", "--size", "big"], "'big' is no size"),
        (["night", "x", "--filters", "gp,green"], "does not know the filter 'green'"),
        (["night", "x", "--time-zone", "Nowhere"], "no time zone 'Nowhere'"),
        (["night", "x", "--nights", "3660", "--date", "0009-01-01"], "out of range"),
        (["night", "x", "--exposure-time", "7000"], "biases and darks of the night take"),
        (["--rate", "3", "night", "x"], "--rate is no option of `runstart simulate night`"),
        (["--format", "ev44", "night", "x"], "--format is no option of `runstart simulate night`"),
    ],
)
def test_a_mistake_is_told_before_anything_is_written(folder: Path, arguments: list[str], told: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 1, result.output
    assert told in result.stderr
    assert "Traceback" not in result.output
    assert not list(folder.iterdir())


def test_the_options_of_the_instrument_are_still_read(folder: Path) -> None:
    options = ["--instrument", "TINY", "--rate", "1e6", "--pulse-rate", "14", "--run-duration", "3", "--gap", "1"]
    options += ["--runs", "2", "--first-run", "4", "--periods", "2", "--format", "ev42", "--partitions", "2"]
    result = run(*options, "--seed", "3", "--bootstrap-servers", "127.0.0.1:1", "--instruments", "none.toml")
    assert result.exit_code == 1
    assert "none.toml: cannot be read" in result.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_night_after_a_whole_file(folder: Path, number: int) -> None:
    arguments = ["simulate", "night", "exposures", *SMALL, "--pace", "3600", "--date", "2026-03-01"]
    process = subprocess.Popen(
        [sys.executable, "-c", "from runstart.cli import app; app()", *arguments],
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    first = folder / "exposures" / "SIMOBS-20260301-0001-b00.fits"
    while not first.exists():
        assert process.poll() is None
    process.send_signal(number)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "SIMOBS 2026-03-01: 1 of 7 exposures" in output
    assert [path.name for path in (folder / "exposures").iterdir() if path.is_file()] == [first.name]
