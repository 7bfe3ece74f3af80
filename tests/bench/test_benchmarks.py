"""Every benchmark runs at its smallest size and prints comparisons that a program can read."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.__main__ import BENCHMARKS
from bench._measure import Row, Scale, time_interleaved

REPOSITORY = Path(__file__).resolve().parents[2]
FIELDS = {"name", "ours", "peer", "peer_name", "unit", "ratio", "versions"}

needs_scipp = pytest.mark.skipif(
    importlib.util.find_spec("scipp") is None, reason="scipp, a peer, is in the extra `bench`"
)


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bench", *arguments],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=220,
        check=False,
    )


def rows_of(name: str) -> list[dict[str, Any]]:
    done = bench(name, "--quick")
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


needs_ccdproc = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("ccdproc", "bottleneck")),
    reason="ccdproc and bottleneck, peers, are in the extra `bench`",
)


needs_frame_peers = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("libertem", "stempy")),
    reason="LiberTEM and stempy, peers, are in the extra `bench`",
)


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    "name",
    [
        "decode",
        pytest.param("histogram", marks=needs_scipp),
        pytest.param("message", marks=needs_scipp),
        pytest.param("kafka_to_histogram", marks=pytest.mark.broker),
        pytest.param("run_start", marks=[pytest.mark.broker, pytest.mark.real]),
        "script_interference",
        pytest.param("stacks", marks=needs_ccdproc),
        pytest.param("operation_cache", marks=needs_ccdproc),
        pytest.param("frames", marks=needs_frame_peers),
        "fan_out",
        "operators",
        "gateway",
        pytest.param("compute_start", marks=pytest.mark.real),
    ],
)
def test_prints_one_json_object_a_line(name: str) -> None:
    rows = rows_of(name)

    assert rows
    for row in rows:
        assert set(row) >= FIELDS
        assert row["name"].partition(".")[0] == name
        assert row["ours"] > 0
        assert row["peer"] > 0
        assert row["ratio"] > 0


def test_every_benchmark_is_listed_with_what_it_is() -> None:
    listed = bench("--list").stdout.splitlines()

    assert [line.split()[0] for line in listed] == list(BENCHMARKS)
    assert all(len(line.split()) > 3 for line in listed)


def test_unknown_benchmark_is_an_error_that_names_those_there_are() -> None:
    done = bench("no_such")

    assert done.returncode == 2
    assert "no_such" in done.stderr
    assert "decode" in done.stderr


def test_every_contestant_is_timed_once_a_round() -> None:
    seconds = time_interleaved({"one": lambda: None, "other": lambda: None}, rounds=3)

    assert {name: len(samples) for name, samples in seconds.items()} == {"one": 3, "other": 3}


def test_row_says_which_versions_it_was_made_with() -> None:
    row = Row("decode.x", 2.0, 1.0, "peer", "1/s", 2.0, packages=("flatbuffers",))

    assert {"runstart", "numpy", "flatbuffers", "python", "machine"} <= set(json.loads(row.to_json())["versions"])


def test_quick_scale_does_less() -> None:
    assert Scale(quick=True).rounds < Scale(quick=False).rounds
