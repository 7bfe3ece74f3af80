"""Masters that stay in memory."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_operation_kit import Bench

from runstart.fits import FitsReference
from runstart.operation_kit import FitsFile
from runstart.operations._kept_masters import KeptMasters

SHAPE = (20, 30)
PLENTY = 2**20


class Counting:
    """Gives files, and counts how often."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.opened: list[str] = []

    def put(self, name: str, data: Any, **planes: Any) -> FitsFile:
        reference = FitsReference.parse(self.bench.put(name, data, **planes))
        return FitsFile(self.bench.workplace.inputs.resolve(reference), self)  # type: ignore[arg-type]

    @contextmanager
    def open(self, resolved: Any) -> Any:
        self.opened.append(resolved.name)
        with self.bench.workplace.inputs.open(resolved) as path:
            yield path


@pytest.fixture
def files(bench: Bench) -> Counting:
    return Counting(bench)


def level(value: float) -> np.ndarray:
    return np.full(SHAPE, value, "f4")


def test_a_master_is_read_once(files: Counting) -> None:
    kept, file = KeptMasters(), files.put("a.fits", level(1), mask=np.eye(*SHAPE, dtype="u1"))
    masters = [kept.take(file, "bias", PLENTY) for _ in range(3)]
    assert files.opened == ["a.fits"]
    np.testing.assert_array_equal(masters[2].data, level(1))
    np.testing.assert_array_equal(masters[2].bad_pixels, np.eye(*SHAPE, dtype=bool))


def test_a_file_with_another_content_is_another_master(files: Counting) -> None:
    kept = KeptMasters()
    assert kept.take(files.put("a.fits", level(1)), "bias", PLENTY).data[0, 0] == 1
    assert kept.take(files.put("a.fits", level(2)), "bias", PLENTY).data[0, 0] == 2


def test_one_content_under_two_names_and_as_two_kinds_is_told_apart(files: Counting) -> None:
    kept, pixels = KeptMasters(), level(1)
    pixels[3, 4] = 0.3
    one, other = (files.put(name, pixels, header={"BUNIT": "adu/s"}) for name in ("a.fits", "b.fits"))
    assert one.resolved.sha256 == other.resolved.sha256
    assert kept.take(one, "flat", PLENTY).name == "a.fits"
    assert kept.take(other, "flat", PLENTY).name == "b.fits"
    assert kept.take(one, "flat", PLENTY).bad_pixels[3, 4]
    assert not kept.take(one, "dark", PLENTY).bad_pixels[3, 4]


def test_nobody_can_change_a_kept_master(files: Counting) -> None:
    kept = KeptMasters()
    for name, planes in (("a.fits", {}), ("b.fits", {"mask": np.zeros(SHAPE, "u1")})):
        master = kept.take(files.put(name, level(1), **planes), "bias", PLENTY)
        for plane in (master.data, master.bad_pixels):
            with pytest.raises(ValueError, match="read-only"):
                plane[0, 0] = 1


def test_those_that_were_not_used_for_longest_go_first(files: Counting) -> None:
    kept = KeptMasters()
    given = [files.put(f"{k}.fits", level(k)) for k in range(7)]
    for file in (*given[:6], given[0], given[6]):
        kept.take(file, "bias", PLENTY)
    files.opened.clear()
    for file in (given[0], given[6], given[1]):
        kept.take(file, "bias", PLENTY)
    assert files.opened == ["1.fits"]


@pytest.mark.parametrize(("budget", "opened"), [(0, 4), (2999, 4), (3000, 4), (6000, 2)])
def test_the_budget_is_kept(files: Counting, budget: int, opened: int) -> None:
    kept, given = KeptMasters(), [files.put(f"{k}.fits", level(k)) for k in range(2)]
    for file in given * 2:
        assert kept.take(file, "bias", budget).data[0, 0] == float(file.name[0])
    assert len(files.opened) == opened  # each takes 3000 bytes


def test_threads_get_what_they_asked_for(files: Counting) -> None:
    kept, given = KeptMasters(), [files.put(f"{k}.fits", level(k)) for k in range(8)]
    with ThreadPoolExecutor(8) as pool:
        masters = list(pool.map(lambda k: kept.take(given[k % 8], "bias", 12_000), range(200)))
    assert [master.data[0, 0] for master in masters] == [k % 8 for k in range(200)]


def test_a_calibration_is_the_same_with_kept_masters_of_another_request(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    made = []
    for folder, first in (("one", True), ("two", False)):
        bench = Bench.make(tmp_path / folder)
        raw = [bench.put(f"{k}.fits", level(100 + k), {"GAIN": 1.5, "RDNOISE": 4.0}) for k in range(2)]
        bias = bench.put("bias.fits", level(10))
        given = raw if first else raw[::-1]
        of = {r: bench.run_one("Calibration", input_files=[r], bias_file=[bias]).data for r in given}
        made.append([of[r] for r in raw])
    np.testing.assert_array_equal(made[0], made[1])
    np.testing.assert_allclose(made[0][1], 91 * 1.5)
