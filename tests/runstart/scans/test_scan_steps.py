"""Steps that are killed between any two of their objects, and taken again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scan_work_kit import COUNTED, FRAMES, draw_frames, make_work, write_scan

from runstart.errors import Alert
from runstart.scans import (
    Accounting,
    ScanResult,
    ScanWork,
    find_plan,
    finish_scan,
    how_ended,
    plan_scan,
    process_batch,
)
from runstart.scans.plan import partial_key


@pytest.fixture
def work(tmp_path: Path) -> ScanWork:
    return make_work(write_scan(tmp_path / "a.frames", draw_frames()), COUNTED)


def process(work: ScanWork, *left_out: int) -> str:
    """Plan a scan and process its batches; return the plan's key."""
    plan = plan_scan(work)
    for batch in plan.batches:
        if batch.number not in left_out:
            process_batch(work, plan, batch.number)
    return plan.key


@pytest.fixture
def undisturbed(tmp_path: Path) -> ScanResult:
    other = make_work(write_scan(tmp_path / "other" / "a.frames", draw_frames()), COUNTED)
    return finish_scan(other, process(other))


def test_a_batch_that_is_lost_is_processed_where_all_are_merged(work: ScanWork, undisturbed: ScanResult) -> None:
    assert finish_scan(work, process(work, 0, 2)).digest == undisturbed.digest


def test_a_finished_scan_leaves_nothing_of_its_work(work: ScanWork) -> None:
    finish_scan(work, process(work))
    assert [key for key in work.store.list() if "/work/" in key] == []


@pytest.mark.parametrize("removed", [1, 3, 5], ids=["one partial", "some", "all with the plan"])
def test_killed_while_it_cleans_up_it_only_cleans_up(
    work: ScanWork, monkeypatch: pytest.MonkeyPatch, removed: int
) -> None:
    key = process(work)

    def die(work: ScanWork) -> None:
        for found in work.store.list("scans/SIMSTEM/a.frames/work/")[:removed]:
            work.store.delete(found)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("runstart.scans.steps.sweep_work", die)
        with pytest.raises(KeyboardInterrupt):
            finish_scan(work, key)
    monkeypatch.setattr("runstart.scans.steps.process_batch", lambda *_: pytest.fail("it was processed again"))
    assert finish_scan(work, key).plan == key
    assert work.store.list("scans/SIMSTEM/a.frames/work/") == []


def test_processed_again_as_a_whole_a_damaged_result_is_mended(work: ScanWork, undisturbed: ScanResult) -> None:
    nexus = finish_scan(work, process(work)).objects["scan.nxs"]
    right = work.store.get(nexus).data
    work.store.put(nexus, b"damaged")
    assert finish_scan(work, process(work)).digest == undisturbed.digest
    assert work.store.get(nexus).data == right


def test_a_plan_of_other_sources_is_refused_and_made_anew(work: ScanWork, monkeypatch: pytest.MonkeyPatch) -> None:
    key = process(work)
    monkeypatch.setattr("runstart.source_digest.library_version", lambda *_: "0.0.0+other")
    assert find_plan(work, key) is None
    with pytest.raises(Alert, match="code has changed"):
        finish_scan(work, key)
    assert plan_scan(work).key != key


def test_a_plan_that_another_run_has_finished_is_told(work: ScanWork) -> None:
    key = process(work)
    for found in work.store.list("scans/"):
        work.store.delete(found)
    with pytest.raises(Alert, match="another run has finished this scan"):
        finish_scan(work, key)


def test_partial_results_of_the_batches_that_are_done_are_left_as_they_are(work: ScanWork) -> None:
    plan = plan_scan(work)
    process_batch(work, plan, 1)
    path: Any = work.store.root / partial_key(work, plan.key, 1)  # type: ignore[attr-defined]
    before = path.stat().st_mtime_ns
    process(work)
    assert path.stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("closed", "seen", "ended"), [(True, 30, "complete"), (True, 29, "closed"), (False, 29, "broken off")]
)
def test_how_a_scan_has_ended_follows_from_file_and_account(closed: bool, seen: int, ended: str) -> None:
    assert how_ended(closed, Accounting(expected=30, stored=seen, seen=seen)) == ended


def test_a_scan_that_was_broken_off_is_partial(tmp_path: Path) -> None:
    path = write_scan(tmp_path / "a.frames", draw_frames()[:20], np.arange(20), closed=False)
    result = finish_scan(work := make_work(path), process(work))
    assert (result.is_partial, result.accounting.covered) == (True, 20 / FRAMES)
