"""Levels of isolation that run here, and small scripts executed at each of them."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from hashlib import sha256
from textwrap import dedent
from typing import Any

import numpy as np
import pytest

from runstart.instruments import Bank, Instrument, TofAxis
from runstart.instruments.script import Script
from runstart.launchers import LEVELS, Isolation, LaunchSpec, SubprocessLauncher, Task
from runstart.launchers.finding import is_available
from runstart.launchers.isolation import Level
from runstart.scripts import FetchedScript, ScriptInput, ScriptOutcome, execute

PATIENCE_S = 100.0
"""Time limit of a script that should end by itself, on a machine that is busy with other tests."""

available = cache(is_available)


class PromptLauncher(SubprocessLauncher):
    """Runs idle tasks at once, so that tests do not wait for an idle machine."""

    def start(self, spec: LaunchSpec) -> Task:
        return super().start(replace(spec, idle=False))


def launcher_at(level: Level, kind: type[SubprocessLauncher] = PromptLauncher) -> SubprocessLauncher:
    isolation = Isolation(level)
    if not available(isolation):
        pytest.skip(f"this system does not allow {level}")
    return kind(isolation)


def each_level(*but: Level) -> Any:
    return pytest.mark.parametrize("level", [level for level in LEVELS if level not in but])


confining_levels = each_level("fault isolation only")


def make_input(**changes: Any) -> ScriptInput:
    instrument = Instrument(
        name="TEST",
        banks=(
            Bank(name="rear", shape=(3, 4), first_detector_id=1),
            Bank(name="line", shape=(5,), first_detector_id=100),
        ),
        tof=TofAxis(start_us=0, stop_us=40, bins=20),
    )
    rng = np.random.default_rng(3)
    fields: dict[str, Any] = {
        "instrument": instrument,
        "name": "run 1",
        "key": "run-1_20231114",
        "start_time_ns": 1_700_000_000_000_000_000,
        "stop_time_ns": None,
        "finished": False,
        "n_periods": 2,
        "tof": rng.integers(0, 1000, (2, 20)),
        "pixel": rng.integers(0, 1000, (2, 17)).astype(np.uint32),
        "pixel_tof": None,
        "events_per_second": rng.integers(0, 100, 30),
        "charge_per_second_uah": np.full(30, 0.02),
        "proton_charge_uah": 0.6,
        "ledger": {"events_read": 12},
    }
    return ScriptInput(**{**fields, **changes})


def fetched(text: str) -> FetchedScript:
    data = dedent(text).encode()
    return FetchedScript(data, sha256(data).hexdigest(), "test")


def run_script(
    text: str,
    level: Level = "fault isolation only",
    script_input: ScriptInput | None = None,
    kind: type[SubprocessLauncher] = PromptLauncher,
    **limits: Any,
) -> ScriptOutcome:
    script = Script(folder="/nowhere", **{"timeout": PATIENCE_S, **limits})
    return execute(script, fetched(text), script_input or make_input(), launcher_at(level, kind))
