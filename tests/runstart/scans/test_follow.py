from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scan_work_kit import COUNTED, FRAMES, damage_frame, draw_frames, make_header, make_work, write_scan

from runstart.errors import Alert
from runstart.frame_files import RawWriter
from runstart.scans import (
    ScanProduct,
    ScanResult,
    ScanStatus,
    ScanWork,
    follow_scan,
    make_plan,
    make_product,
    publish,
)
from runstart.scans.partials import process_whole
from runstart.scans.publish import load_current


class Told:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.remarks: list[str] = []
        self.covered: list[float] = []
        self.products: list[ScanProduct] = []

    def remark(self, text: str) -> None:
        self.remarks.append(text)

    def status(self, status: ScanStatus, product: Callable[[], ScanProduct] | None) -> None:
        if product is not None:
            self.products.append(product())
            self.covered.append(self.products[-1].accounting.covered)


def processed_whole(work: ScanWork, ended: str = "complete") -> ScanResult:
    with work.open() as source:
        plan = make_plan(work, source)
        return publish(work, plan, make_product(work, plan, *process_whole(work, source, plan), ended))


@pytest.mark.parametrize("center", [None, (7.5, 5.5)], ids=["found", "declared"])
def test_a_scan_followed_while_it_grows_has_the_same_result(tmp_path: Path, center: tuple[float, float]) -> None:
    path, told = tmp_path / "a.frames", Told()
    work = make_work(path, COUNTED.model_copy(update={"center": center}))
    writer = RawWriter(path, make_header())
    writer.append(draw_frames()[:2])
    writer.flush()

    def write_the_rest() -> None:
        for frame in draw_frames()[2:]:
            time.sleep(0.02)
            writer.append(frame[None])
            writer.flush()
        writer.close()

    camera = threading.Thread(target=write_the_rest)
    camera.start()
    followed = follow_scan(work, told)
    camera.join()
    assert followed.digest == processed_whole(work).digest
    assert followed.ended == "complete"
    assert told.covered == sorted(told.covered)
    assert any(0 < covered < 1 for covered in told.covered)
    assert not any("once more" in remark for remark in told.remarks)


def test_a_scan_that_breaks_off_gives_a_marked_partial_result(tmp_path: Path) -> None:
    work = make_work(write_scan(tmp_path / "a.frames", draw_frames()[:17], closed=False))
    result = follow_scan(work, Told())
    assert (result.ended, result.is_partial, result.accounting.seen) == ("broken off", True, 17)


def test_a_scan_that_its_writer_ended_early_is_closed(tmp_path: Path) -> None:
    result = follow_scan(make_work(write_scan(tmp_path / "a.frames", draw_frames()[:17])), Told())
    assert (result.ended, result.accounting.missing) == ("closed", FRAMES - 17)


def test_a_damaged_frame_costs_a_second_pass_and_no_other_frame(tmp_path: Path) -> None:
    pixels, told = draw_frames(), Told()
    work = make_work(write_scan(tmp_path / "a.frames", pixels))
    damage_frame(work.local or tmp_path, pixels[4])
    followed = follow_scan(work, told)
    assert followed.digest == processed_whole(work, followed.ended).digest
    assert (followed.accounting.seen, followed.accounting.damaged) == (FRAMES - 1, 1)
    assert any("once more" in remark for remark in told.remarks)


def test_a_scan_without_any_frame_is_told(tmp_path: Path) -> None:
    with pytest.raises(Alert, match="no frame of its scan"):
        follow_scan(make_work(write_scan(tmp_path / "a.frames", draw_frames()[:0])), Told())


def test_a_result_that_saw_less_of_the_same_file_does_not_replace_another(tmp_path: Path) -> None:
    whole = make_work(write_scan(tmp_path / "a.frames", draw_frames()))
    full = processed_whole(whole)
    part = replace(whole, local=write_scan(tmp_path / "b.frames", draw_frames()[:9], closed=False))
    assert processed_whole(part, "broken off") == full
    assert load_current(whole.store, whole.microscope, "a.frames") == full


def test_the_file_of_another_version_replaces_a_result_whatever_it_saw(tmp_path: Path) -> None:
    whole = make_work(write_scan(tmp_path / "a.frames", draw_frames()))
    processed_whole(whole)
    part = replace(
        whole,
        local=write_scan(tmp_path / "b.frames", draw_frames(3)[:9]),
        record=replace(whole.record, version="v2"),
    )
    result = processed_whole(part, "closed")
    assert load_current(whole.store, whole.microscope, "a.frames") == result


def test_equal_results_have_equal_files(tmp_path: Path) -> None:
    work = make_work(write_scan(tmp_path / "a.frames", draw_frames()), COUNTED)
    first = processed_whole(work)
    before = {name: work.store.get(key).data for name, key in first.objects.items()}
    second = processed_whole(work)
    assert {name: work.store.get(key).data for name, key in second.objects.items()} == before
    assert np.isin(["scan.nxs", "counted.h5"], list(before)).all()


def test_a_first_row_that_takes_its_time_is_no_scan_broken_off(tmp_path: Path) -> None:
    path = tmp_path / "a.frames"
    work = make_work(path, COUNTED)
    writer = RawWriter(path, make_header())
    writer.flush()

    def write_slowly() -> None:
        for frame in draw_frames()[:8]:
            time.sleep(0.15)
            writer.append(frame[None])
            writer.flush()
        writer.append(draw_frames()[8:])
        writer.close()

    camera = threading.Thread(target=write_slowly)
    camera.start()
    result = follow_scan(work, Told())
    camera.join()
    assert (result.ended, result.accounting.seen) == ("complete", FRAMES)
