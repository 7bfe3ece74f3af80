"""The counts of control groups of the second version, as files; those of the first are tested on real containers."""

from __future__ import annotations

from pathlib import Path

import pytest

from runstart.launchers._cgroups import ControlGroup, find_control_group

IDENTIFIER = "ab" * 32


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The control group of a container, deep in a tree of others."""
    made = tmp_path / "machine.slice" / f"libpod-{IDENTIFIER}.scope"
    made.mkdir(parents=True)
    (tmp_path / "system.slice").mkdir()
    (made / "memory.events").write_text("low 0\nhigh 0\nmax 12\noom 0\noom_kill 0\n")
    (made / "cpu.stat").write_text("usage_usec 1500000\nuser_usec 1000000\n")
    (made / "memory.peak").write_text("123456\n")
    return made


def _find(root: Path) -> ControlGroup:
    found = find_control_group(IDENTIFIER, root)
    assert found is not None
    return found


def test_counts_of_a_container_are_found_by_its_identifier(folder: Path, tmp_path: Path) -> None:
    group = _find(tmp_path)
    assert group.look()
    assert (group.memory_ran_out, group.peak_memory_bytes, group.processor_s) == (False, 123456, 1.5)
    group.close()


def test_end_for_want_of_memory_is_seen_and_remembered(folder: Path, tmp_path: Path) -> None:
    group = _find(tmp_path)
    (folder / "memory.events").write_text("low 0\nhigh 0\nmax 12\noom 1\noom_kill 1\n")
    assert group.look()
    assert group.memory_ran_out
    (folder / "memory.events").write_text("")
    group.look()
    assert group.memory_ran_out
    group.close()


def test_kernels_that_do_not_count_the_peak_leave_it_at_nothing(folder: Path, tmp_path: Path) -> None:
    (folder / "memory.peak").unlink()
    group = _find(tmp_path)
    assert group.look()
    assert (group.peak_memory_bytes, group.processor_s) == (0, 1.5)
    group.close()


def test_container_of_another_machine_has_none(folder: Path, tmp_path: Path) -> None:
    assert find_control_group("cd" * 32, tmp_path) is None
