from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from runstart.cli import app
from runstart.cli.simulate_scan import FrameFormatName
from runstart.frame_files import open_frames
from runstart.simulators.scan import FrameFormat, read_scan_truth

SMALL = ["--scan", "4x6", "--frame", "32x32", "--electrons", "10"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RUNSTART_KAFKA", raising=False)
    monkeypatch.setenv("COLUMNS", "160")
    return tmp_path


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["simulate", *arguments])


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_file())


def test_the_help_has_examples() -> None:
    text = run("scan", "--help").stdout
    assert "Examples" in text
    assert text.count("runstart simulate scan") >= 5
    assert "scan" in run("--help").stdout


def test_the_formats_are_those_of_the_library() -> None:
    assert [name.value for name in FrameFormatName] == [form.value for form in FrameFormat]


def test_scans_in_a_row_take_the_next_free_numbers(folder: Path) -> None:
    for _ in range(2):
        result = run("scan", "scans", *SMALL, "--scans", "2")
        assert result.exit_code == 0, result.output
    assert names(folder / "scans") == [f"scan_00000{number}.frames" for number in (1, 2, 3, 4)]
    told = "scan_000004.frames: 24 of 24 frames, truth in scans/.truth/scan_000004-truth.json"
    assert told in result.stdout


def test_the_same_seed_and_start_give_the_same_bytes(folder: Path) -> None:
    for name in ("a", "b"):
        result = run("scan", name, *SMALL, "--scans", "2", "--seed", "5", "--started", "2026-07-19T20:00:00Z")
        assert result.exit_code == 0, result.output
    assert names(folder / "a") == names(folder / "b")
    for path in (folder / "a").rglob("*scan_*"):
        assert path.read_bytes() == (folder / "b" / path.relative_to(folder / "a")).read_bytes()


def test_options_reach_the_scan(folder: Path) -> None:
    options = [
        "--first",
        "40",
        "--format",
        "batches",
        "--frames-per-position",
        "3",
        "--vacuum",
        "0.5",
        "--phase",
        "0.7",
    ]
    options += ["--drift", "0.5", "--dead-pixels", "3", "--xrays", "0.25", "--drop", "0.1", "--duplicates", "0.2"]
    options += ["--break-off", "0.75", "--rate", "5000", "--started", "2026-07-19T20:00:00", "--seed", "7"]
    result = run("scan", ".", *SMALL, *options, "--truth", "true")
    assert result.exit_code == 0, result.output
    assert names(folder) == ["scan_000040.batches"]
    plan = read_scan_truth(folder / "true" / "scan_000040-truth.json").plan
    assert (plan.scan_shape, plan.frame_shape, plan.electrons) == ((4, 6), (32, 32), 10)
    assert (plan.frames_per_position, plan.vacuum, plan.phase_rad, plan.drift_px) == (3, 0.5, 0.7, 0.5)
    assert (plan.dead_pixels, plan.xrays, plan.dropped, plan.duplicated) == (3, 0.25, 0.1, 0.2)
    assert (plan.break_off, plan.rate, plan.seed) == (0.75, 5000, 7)
    assert plan.started_text == "2026-07-19T20:00:00Z"


def test_scans_in_a_row_start_one_after_the_other(folder: Path) -> None:
    result = run("scan", ".", *SMALL, "--scans", "3", "--rate", "240", "--started", "2026-07-19T20:00:00Z")
    assert result.exit_code == 0, result.output
    starts = []
    for name in names(folder):
        with open_frames(folder / name) as source:
            starts.append(source.header.started)
    tenths = ["", ".100000", ".200000"]
    assert starts == [f"2026-07-19T20:00:00{fraction}Z" for fraction in tenths]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["scan", "x", "--started", "tonight"], "'tonight' is no time"),
        (["scan", "x", "--scan", "big"], "'big' is no size"),
        (["scan", "x", "--frame", "8x8"], "A frame of 8x8 pixels"),
        (["scan", "x", "--drift", "99"], "pattern would leave the frame"),
        (["scan", "x", "--drop", "1.5"], "1.5 as its part of dropped frames"),
        (["scan", "x", "--format", "npy", "--drop", "0.1"], "npy has one frame for each slot"),
        (["scan", "x", "--first", "999999", "--scans", "2"], "1e+06 as its number"),
        (["scan", "x", "--rate", "0.01", "--scan", "2048x2048", "--scans", "10000"], "do not end in any year"),
        (["--rate", "3", "scan", "x"], "--rate is no option of `runstart simulate scan`"),
    ],
)
def test_a_mistake_is_told_before_anything_is_written(folder: Path, arguments: list[str], told: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 1, result.output
    assert told in result.stderr
    assert "Traceback" not in result.output
    assert not list(folder.iterdir())


def test_a_number_that_is_taken_is_told_before_the_first_scan(folder: Path) -> None:
    (folder / "scan_000002.frames").write_text("mine")
    result = run("scan", ".", *SMALL, "--first", "1", "--scans", "3")
    assert result.exit_code == 1
    assert "There is a file scan_000002.frames already" in result.stderr
    assert names(folder) == ["scan_000002.frames"]
    assert (folder / "scan_000002.frames").read_text() == "mine"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_breaks_the_scan_off_after_a_whole_frame(folder: Path, number: int) -> None:
    arguments = ["simulate", "scan", "scans", *SMALL, "--rate", "0.01"]
    process = subprocess.Popen(
        [sys.executable, "-c", "from runstart.cli import app; app()", *arguments],
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    path = folder / "scans" / "scan_000001.frames"
    while not path.exists():
        assert process.poll() is None
    process.send_signal(number)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    found = re.search(r"scan_000001.frames: ([01]) of 24 frames", output)
    assert found is not None
    with open_frames(path) as source:
        assert source.frame_count == int(found[1])
        assert not source.is_closed
