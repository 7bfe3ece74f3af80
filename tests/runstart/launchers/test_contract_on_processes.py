from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest
from launcher_contract import Bench, LauncherContract
from left_behind import left_behind
from waiting import wait_until

from runstart.launchers import LaunchSpec, SubprocessLauncher


class Processes(Bench):
    """Plain processes, confined as well as this system can."""

    launcher = SubprocessLauncher()
    making = "from runstart.launchers import SubprocessLauncher; launcher = SubprocessLauncher()"

    def spec(self, text: str, *arguments: str, **fields: Any) -> LaunchSpec:
        return LaunchSpec((sys.executable, "-I", "-S", "-c", text, *arguments), "test task", **fields)

    def left(self) -> list[str]:
        return [f"process {process}" for process in left_behind()]


class TestProcesses(LauncherContract):
    @pytest.fixture
    def bench(self) -> Iterator[Bench]:
        bench = Processes()
        yield bench
        wait_until(lambda: bench.left() == [], "the end of every process")
