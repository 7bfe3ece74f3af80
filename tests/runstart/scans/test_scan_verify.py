"""What is stored of a scan contradicts what was published in exactly one way at a time."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import pytest
from scan_work_kit import COUNTED, PLAIN, draw_frames, make_work, write_scan

from runstart.frames import Recipe
from runstart.scans import ScanResult, ScanWork, find_contradictions, finish_scan, plan_scan

BINNED = COUNTED.model_copy(update={"bin_by": 5})  # 16 x 12 pixels: one row and two columns are cut off


def finished(folder: Path, recipe: Recipe, seed: int = 0) -> tuple[ScanWork, ScanResult]:
    work = make_work(write_scan(folder / "a.frames", draw_frames(seed)), recipe)
    return work, finish_scan(work, plan_scan(work).key)


def stored(work: ScanWork, result: ScanResult) -> tuple[bytes, bytes | None]:
    counted = result.objects.get("counted.h5")
    nexus = work.store.get(result.objects["scan.nxs"]).data
    return nexus, None if counted is None else work.store.get(counted).data


def edited(nexus: bytes, edit: Callable[[Any], None]) -> bytes:
    file = io.BytesIO(nexus)
    with h5py.File(file, "r+") as opened:
        edit(opened["entry"])
    return file.getvalue()


@pytest.mark.parametrize("recipe", [PLAIN, COUNTED, BINNED], ids=["dense", "counted", "binned"])
def test_what_was_published_contradicts_nothing(tmp_path: Path, recipe: Recipe) -> None:
    work, result = finished(tmp_path, recipe)
    assert find_contradictions(result, *stored(work, result)) == []


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> tuple[ScanResult, bytes, bytes | None]:
    work, result = finished(tmp_path_factory.mktemp("counted"), COUNTED)
    return result, *stored(work, result)


def add(entry: Any, path: str) -> None:
    values = entry[path][()]
    values.flat[0] += 1
    entry[path][()] = values


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("frame_counts/frames", "The maps hold 31 frames, but 30 were seen."),
        ("diffraction_pattern/sum", "The diffraction pattern holds"),
        ("accounting/seen", "The stored account of frames is not the one that was published."),
        ("phase/phase", "The stored content has digest"),
        ("virtual_image_bright_field/mean", "The stored content has digest"),
    ],
)
def test_a_changed_number_is_found(counted: tuple[ScanResult, bytes, bytes | None], path: str, told: str) -> None:
    result, nexus, events = counted
    found = find_contradictions(result, edited(nexus, lambda entry: change(entry, path)), events)
    assert any(told in text for text in found), found


def change(entry: Any, path: str) -> None:
    if entry[path].shape == ():
        entry[path][()] = entry[path][()] - 1
    else:
        add(entry, path)


def test_events_of_another_scan_are_found(counted: tuple[ScanResult, bytes, bytes | None], tmp_path: Path) -> None:
    result, nexus, _ = counted
    other = stored(*finished(tmp_path, COUNTED, seed=5))[1]
    assert len(find_contradictions(result, nexus, other)) == 3, "published, pattern, digest"


def test_lost_events_are_found(counted: tuple[ScanResult, bytes, bytes | None]) -> None:
    result, nexus, _ = counted
    assert any("digest" in text for text in find_contradictions(result, nexus, None))


def test_electrons_may_leave_the_pattern_only_when_the_beam_is_compensated(
    counted: tuple[ScanResult, bytes, bytes | None],
) -> None:
    result, nexus, events = counted

    def take(entry: Any) -> None:
        values = entry["diffraction_pattern/sum"][()]
        values.flat[values.argmax()] -= 1
        entry["diffraction_pattern/sum"][()] = values

    changed = edited(nexus, take)
    strict = find_contradictions(result, changed, events)
    lenient = find_contradictions(result, changed, events, is_compensated=True)
    assert len(strict) - len(lenient) == 1


def test_a_file_that_cannot_be_read_is_a_contradiction(
    counted: tuple[ScanResult, bytes, bytes | None],
) -> None:
    result, nexus, events = counted
    assert "damaged" in find_contradictions(result, nexus[:1000], events)[0]
    assert find_contradictions(result, nexus, b"damaged") != []


def test_an_account_that_does_not_add_up_is_found(counted: tuple[ScanResult, bytes, bytes | None]) -> None:
    result, nexus, events = counted
    wrong = replace(result, accounting=replace(result.accounting, duplicate=3))
    assert any("are stored" in text for text in find_contradictions(wrong, nexus, events))
