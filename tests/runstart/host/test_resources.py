"""What a machine has: measured as the system says, held to the limits of the control group, with and without GPUs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pynvml
import pytest

from runstart.host import is_alive, measure_host, resources, size_text
from runstart.host._control_group import GroupLimits, read_limits
from runstart.host.gpus import measure_gpus


def test_the_machine_is_measured_as_the_system_says(tmp_path: Path) -> None:
    host = measure_host(tmp_path / "not" / "there" / "yet")
    assert 0 < host.cpus <= (os.cpu_count() or 0)
    assert 0 < host.memory_available_bytes <= host.memory_bytes <= psutil.virtual_memory().total
    assert host.disk == str(tmp_path)
    assert host.disk_bytes == shutil.disk_usage(tmp_path).total
    assert 0 < host.disk_free_bytes <= host.disk_bytes
    assert host.load >= 0


def test_the_limits_of_the_control_group_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "read_limits", lambda: GroupLimits(0.5, 100_000_000, 30_000_000))
    host = measure_host(tmp_path)
    assert (host.cpus, host.memory_bytes, host.memory_available_bytes) == (0.5, 100_000_000, 70_000_000)


def _group(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)


def test_version_2_is_read_up_to_the_root_and_the_tightest_counts(tmp_path: Path) -> None:
    membership = tmp_path / "membership"
    membership.write_text("0::/outer/inner\n")
    root = tmp_path / "cgroup"
    _group(root / "outer", cpu__max="150000 100000\n", memory__max="1000\n", memory__current="600\n")
    (root / "outer" / "memory.stat").write_text("anon 300\ninactive_file 200\n")
    _group(root / "outer" / "inner", cpu__max="max 100000\n", memory__max="5000\n", memory__current="100\n")
    assert read_limits(root, membership) == GroupLimits(1.5, 1000, 400)


def test_version_1_is_read_and_its_no_limit_is_none(tmp_path: Path) -> None:
    membership = tmp_path / "membership"
    membership.write_text("4:memory:/job\n1:cpu:/job\n0::/\n")
    root = tmp_path / "cgroup"
    _group(root / "memory" / "job", memory__limit_in_bytes="2000\n", memory__usage_in_bytes="500\n")
    _group(root / "cpu" / "job", cpu__cfs_quota_us="50000\n", cpu__cfs_period_us="100000\n")
    assert read_limits(root, membership) == GroupLimits(0.5, 2000, 500)
    (root / "memory" / "job" / "memory.limit_in_bytes").write_text("9223372036854771712\n")
    (root / "cpu" / "job" / "cpu.cfs_quota_us").write_text("-1\n")
    assert read_limits(root, membership) == GroupLimits()


def test_without_control_groups_there_are_no_limits(tmp_path: Path) -> None:
    assert read_limits(tmp_path, tmp_path / "none") == GroupLimits()


def test_a_machine_without_the_library_of_gpus_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise pynvml.NVMLError_LibraryNotFound

    monkeypatch.setattr(pynvml, "nvmlInit", missing)
    assert measure_gpus() == ()


def test_gpus_are_read_from_the_library_with_bytes_or_text_and_without_utilization(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls: list[str] = []

    def utilization(handle: int) -> SimpleNamespace:
        if handle == 11:
            raise pynvml.NVMLError_NotSupported
        return SimpleNamespace(gpu=37)

    for name, function in {
        "nvmlInit": lambda: calls.append("begun"),
        "nvmlShutdown": lambda: calls.append("ended"),
        "nvmlDeviceGetCount": lambda: 2,
        "nvmlDeviceGetHandleByIndex": lambda index: 10 + index,
        "nvmlDeviceGetMemoryInfo": lambda handle: SimpleNamespace(total=1000 * handle, free=handle),
        "nvmlDeviceGetUtilizationRates": utilization,
        "nvmlDeviceGetName": lambda handle: b"Old card" if handle == 11 else "New card",
    }.items():
        monkeypatch.setattr(pynvml, name, function)
    first, second = measure_gpus()
    assert (first.index, first.name, first.memory_bytes, first.memory_free_bytes, first.busy_percent) == (
        0, "New card", 10_000, 10, 37,
    )  # fmt: skip
    assert (second.index, second.name, second.busy_percent) == (1, "Old card", None)
    assert calls == ["begun", "ended"]


def test_sizes_have_three_digits() -> None:
    sizes = [0, 999, 1000, 9994, 9995, 99_950, 999_499, 999_500, 25_276_502_016]
    texts = ["0 bytes", "999 bytes", "1.00 kB", "9.99 kB", "10.0 kB", "100 kB", "999 kB", "1.00 MB", "25.3 GB"]
    assert [size_text(size) for size in sizes] == texts


def test_a_process_is_alive_only_under_its_own_number() -> None:
    now = time.time()
    assert is_alive(os.getpid(), now)
    # A process that began after this number was noted is another one.
    assert not is_alive(os.getpid(), psutil.Process().create_time() - 3600)
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    assert not is_alive(child.pid, now)


def test_a_zombie_is_not_alive() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    # It has ended and is not waited for.
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not is_alive(child.pid, time.time())
    child.wait()
