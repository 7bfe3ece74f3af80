from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scan_work_kit import (
    COUNTED,
    FRAMES,
    PLAIN,
    SCAN_SHAPE,
    count_plainly,
    damage_frame,
    draw_frames,
    make_header,
    make_work,
    write_scan,
)

from runstart.errors import Alert
from runstart.frame_files import RawWriter
from runstart.frames import Partial
from runstart.microscopes import BeamCompensation, Calibration, Phase
from runstart.scans import (
    Accounting,
    Plan,
    ScanWork,
    load_plan,
    make_plan,
    make_product,
    merge_batches,
    process_batch,
    process_whole,
    publish,
    save_plan,
)
from runstart.scans.plan import partial_key


def plan_of(work: ScanWork) -> Plan:
    with work.open() as source:
        return make_plan(work, source)


def process(work: ScanWork) -> tuple[Partial, Accounting]:
    plan = plan_of(work)
    for batch in plan.batches:
        process_batch(work, plan, batch.number)
    return merge_batches(work, plan)


def test_batches_together_are_the_whole_scan(tmp_path: Path) -> None:
    work = make_work(write_scan(tmp_path / "a.frames", draw_frames()))
    partial, accounting = process(work)
    assert np.array_equal(partial.pattern, draw_frames().sum(axis=0, dtype=np.uint64))
    assert accounting == Accounting(expected=FRAMES, stored=FRAMES, seen=FRAMES)


@pytest.mark.parametrize("recipe", [PLAIN, COUNTED], ids=["dense", "counted"])
def test_the_size_of_batches_changes_no_bit(tmp_path: Path, recipe: object) -> None:
    path = write_scan(tmp_path / "a.frames", draw_frames())
    small, _ = process(make_work(path, recipe, frames_per_batch=3))
    large = make_work(path, recipe, frames_per_batch=30)
    with large.open() as source:
        whole, _ = process_whole(large, source, make_plan(large, source))
    for name in ("frames", "intensity", "row_moment", "column_moment", "detected", "pattern"):
        assert np.array_equal(getattr(small, name), getattr(whole, name)), name
    if small.events is not None and whole.events is not None:
        assert np.array_equal(small.events.events, whole.events.events)


def test_counted_events_are_those_of_plain_numpy(tmp_path: Path) -> None:
    pixels = draw_frames()
    partial, _ = process(make_work(write_scan(tmp_path / "a.frames", pixels), COUNTED))
    assert partial.events is not None
    assert [partial.events.frame(i).tolist() for i in range(FRAMES)] == [
        count_plainly(frame, 100, 900).tolist() for frame in pixels
    ]


def test_a_batch_that_is_done_is_not_processed_again(tmp_path: Path) -> None:
    work = make_work(write_scan(tmp_path / "a.frames", draw_frames()))
    plan = plan_of(work)
    assert [process_batch(work, plan, 1), process_batch(work, plan, 1)] == [True, False]


def test_a_duplicate_counts_once(tmp_path: Path) -> None:
    pixels = draw_frames()
    slots = np.append(np.arange(FRAMES), 3)
    path = write_scan(tmp_path / "a.frames", np.concatenate([pixels, draw_frames(1, 1)]), slots)
    partial, accounting = process(make_work(path))
    assert np.array_equal(partial.pattern, pixels.sum(axis=0, dtype=np.uint64))
    assert accounting == Accounting(expected=FRAMES, stored=FRAMES + 1, seen=FRAMES, duplicate=1)


def test_a_damaged_frame_is_missing_and_told(tmp_path: Path) -> None:
    pixels = draw_frames()
    path = write_scan(tmp_path / "a.frames", pixels)
    damage_frame(path, pixels[9])
    partial, accounting = process(make_work(path))
    assert np.array_equal(partial.pattern, np.delete(pixels, 9, axis=0).sum(axis=0, dtype=np.uint64))
    assert (accounting.seen, accounting.damaged, accounting.missing) == (FRAMES - 1, 1, 1)
    assert accounting.contradictions() == []


def test_an_intact_duplicate_stands_in_for_a_damaged_frame(tmp_path: Path) -> None:
    pixels = draw_frames()
    path = write_scan(
        tmp_path / "a.frames", np.concatenate([pixels, pixels[9:10]]), np.append(np.arange(FRAMES), 9)
    )
    damage_frame(path, pixels[9])
    work = make_work(path)
    partial, accounting = process(work)
    assert np.array_equal(partial.pattern, pixels.sum(axis=0, dtype=np.uint64))
    assert (accounting.seen, accounting.damaged, accounting.duplicate) == (FRAMES, 1, 0)
    with work.open() as source:
        assert process_whole(work, source, make_plan(work, source))[1] == accounting


def test_a_damaged_partial_result_is_told_and_made_anew(tmp_path: Path) -> None:
    work = make_work(write_scan(tmp_path / "a.frames", draw_frames()))
    plan = plan_of(work)
    for batch in plan.batches:
        process_batch(work, plan, batch.number)
    key = partial_key(work, plan.key, 2)
    work.store.put(key, work.store.get(key).data[:-40])
    with pytest.raises(Alert, match="damaged, and has been removed"):
        merge_batches(work, plan)
    assert process_batch(work, plan, 2)
    assert merge_batches(work, plan)[1].seen == FRAMES


def test_a_file_that_was_replaced_is_refused(tmp_path: Path) -> None:
    path = write_scan(tmp_path / "a.frames", draw_frames())
    work = make_work(path)
    plan = plan_of(work)
    path.unlink()
    write_scan(path, draw_frames(frames=4))
    with pytest.raises(Alert, match="has changed"):
        process_batch(work, plan, len(plan.batches) - 1)


def test_missing_frames_are_nan_and_never_zero(tmp_path: Path) -> None:
    kept = np.setdiff1d(np.arange(FRAMES), [7, 8])
    work = make_work(write_scan(tmp_path / "a.frames", draw_frames()[kept], kept))
    plan = plan_of(work)
    with work.open() as source:
        product = make_product(work, plan, *process_whole(work, source, plan), "closed")
    missing = np.zeros(FRAMES, np.bool_)
    missing[[7, 8]] = True
    for image in (*product.center_of_mass, *product.virtual_images.values(), product.phase):
        assert np.array_equal(np.isnan(image), missing.reshape(SCAN_SHAPE))


def test_a_plan_survives_being_kept(tmp_path: Path) -> None:
    path = write_scan(tmp_path / "a.frames", draw_frames(), np.append(np.arange(FRAMES - 1), 3))
    plan = plan_of(make_work(path, COUNTED))
    assert Plan.from_bytes(plan.to_bytes()) == plan


def test_the_key_of_a_plan_depends_on_what_results_depend_on(tmp_path: Path) -> None:
    path = write_scan(tmp_path / "a.frames", draw_frames())
    work = make_work(path)
    other_version = replace(work, record=replace(work.record, version="v2"))
    plans = [plan_of(each) for each in (work, make_work(path), make_work(path, COUNTED), other_version)]
    assert [plan.key == plans[0].key for plan in plans] == [True, True, False, False]


def test_another_result_of_the_vacuum_scan_makes_a_plan_void(tmp_path: Path) -> None:
    def publish_vacuum(pixels: np.ndarray) -> None:
        vacuum = make_work(write_scan(tmp_path / f"vacuum{pixels.sum()}.frames", pixels))
        vacuum = replace(vacuum, record=replace(vacuum.record, scan="vacuum"))
        with vacuum.open() as source:
            plan = make_plan(vacuum, source)
            product = make_product(vacuum, plan, *process_whole(vacuum, source, plan), "complete")
        publish(vacuum, plan, product)

    publish_vacuum(draw_frames(5))
    path = write_scan(tmp_path / "a.frames", draw_frames())
    compensation = BeamCompensation(vacuum_scan="vacuum")
    plan = plan_of(make_work(path, beam_compensation=compensation))
    publish_vacuum(draw_frames(6))
    with pytest.raises(Alert, match="another result"):
        process_batch(make_work(path, beam_compensation=compensation), plan, 0)


def test_a_vacuum_scan_that_was_binned_otherwise_is_refused(tmp_path: Path) -> None:
    vacuum = make_work(write_scan(tmp_path / "vacuum.frames", draw_frames()))
    with vacuum.open() as source:
        plan = make_plan(vacuum, source)
        product = make_product(vacuum, plan, *process_whole(vacuum, source, plan), "complete")
    publish(vacuum, plan, product)
    binned = PLAIN.model_copy(update={"bin_by": 2})
    path = write_scan(tmp_path / "a.frames", draw_frames())
    with pytest.raises(Alert, match="was binned by 1"):
        plan_of(make_work(path, binned, beam_compensation=BeamCompensation(vacuum_scan="vacuum.frames")))


def test_frames_smaller_than_their_binning_are_refused(tmp_path: Path) -> None:
    path = write_scan(tmp_path / "a.frames", draw_frames())
    with pytest.raises(Alert, match="cannot be binned by 32"):
        plan_of(make_work(path, PLAIN.model_copy(update={"bin_by": 32})))


def test_dead_pixels_do_not_keep_the_centre_from_being_found(tmp_path: Path) -> None:
    frames = draw_frames().astype(np.float32)
    frames[:, 3, 3] = np.nan
    frames[:, 0, 0] = -1e6
    path = tmp_path / "a.frames"
    with RawWriter(path, make_header(dtype="float32")) as writer:
        writer.append(frames)
    pattern = frames[: SCAN_SHAPE[1]].sum(axis=0, dtype=np.float64)
    pattern[[3, 0], [3, 0]] = 0
    rows, columns = np.indices(pattern.shape)
    expected = ((pattern * rows).sum() / pattern.sum(), (pattern * columns).sum() / pattern.sum())
    plan = plan_of(make_work(path, PLAIN.model_copy(update={"center": None})))
    assert plan.center == pytest.approx(expected)


@pytest.mark.parametrize("setting", ["phase", "calibration"])
def test_settings_that_change_the_maps_change_the_key(tmp_path: Path, setting: str) -> None:
    changed = {"phase": Phase(rotation_deg=3), "calibration": Calibration(scan_step_nm=2)}[setting]
    path = write_scan(tmp_path / "a.frames", draw_frames())
    assert plan_of(make_work(path)).key != plan_of(make_work(path, **{setting: changed})).key


def test_results_of_other_calibrations_lie_in_folders_of_their_own(tmp_path: Path) -> None:
    path = write_scan(tmp_path / "a.frames", draw_frames())
    folders = set()
    for step in (1, 2):
        work = make_work(path, calibration=Calibration(scan_step_nm=step))
        with work.open() as source:
            plan = make_plan(work, source)
            product = make_product(work, plan, *process_whole(work, source, plan), "complete")
        folders.add(publish(work, plan, product).folder)
    assert len(folders) == 2


def test_a_damaged_plan_is_told(tmp_path: Path) -> None:
    work = make_work(write_scan(tmp_path / "a.frames", draw_frames()))
    key = save_plan(work, plan_of(work))
    (stored,) = work.store.list("scans/SIMSTEM/a.frames/work/")
    work.store.put(stored, b"{}")
    with pytest.raises(Alert, match="is damaged"):
        load_plan(work, key)
