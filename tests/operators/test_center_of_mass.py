"""center-of-mass-partial and -reduce give what the kernel of the frames gives of the whole scan."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from scan_messages import FRAME, SCAN, images_message, make_events, make_images, run_py, to_messages

from runstart.errors import Alert
from runstart.frame_files import write_counted
from runstart.frame_messages import read_array
from runstart.frames import Crop, center_of_mass, crop_mask
from runstart.operators.testing import call

PARTIAL, REDUCE = run_py("center-of-mass-partial"), run_py("center-of-mass-reduce")
CROP = {"crop_to_x": 6, "crop_to_y": 8, "init_center_x": 12, "init_center_y": 16}
MASK = crop_mask(Crop(half_rows=6, half_columns=8), (12, 16), FRAME)


def test_a_scan_that_was_read_in_batches_equals_the_whole_scan(tmp_path: Path) -> None:
    events = make_events(each=2)
    write_counted(tmp_path / "scan.h5", events, SCAN, FRAME, 2)
    source = {"raw_data_dir": str(tmp_path), "filename": "scan.h5", "batch_size_mb": 0.0005}
    batches = call(run_py("counted-data-reader"), [], source, trigger="read_now")
    partials = call(PARTIAL, batches, CROP)
    random.Random(1).shuffle(partials)
    assert len(partials) > 5
    (message,) = call(REDUCE, partials, {"emit_every": 0})
    found, meta = read_array(message)
    assert np.array_equal(found, center_of_mass(events, SCAN, crop=MASK), equal_nan=True)
    assert (meta["complete"], meta["missing_positions"], meta["frames"]) == (True, 0, len(events))


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_camera_images_give_what_the_kernel_gives(dtype: str) -> None:
    images = make_images(dtype=dtype)
    partials = call(PARTIAL, [images_message(images, 0, 20), images_message(images, 20)], CROP)
    (message,) = call(REDUCE, partials)
    assert np.array_equal(read_array(message)[0], center_of_mass(images, SCAN, crop=MASK))


def test_the_first_plane_is_the_mean_column_and_x_is_the_axis_of_rows() -> None:
    events = make_events()
    wide = call(REDUCE, call(PARTIAL, to_messages(events), CROP | {"crop_to_x": 1000, "init_center_x": 0}))
    columns, rows = read_array(wide[-1])[0]
    mask = crop_mask(Crop(half_rows=1000, half_columns=8), (0, 16), FRAME)
    expected = center_of_mass(events, SCAN, crop=mask)
    assert np.array_equal(columns, expected[0], equal_nan=True)
    assert np.array_equal(rows, expected[1], equal_nan=True)
    assert np.nanmean(columns) > np.nanmean(rows)


def test_maps_are_sent_on_the_way_and_at_the_end() -> None:
    partials = call(PARTIAL, to_messages(make_events()), CROP)
    every = call(REDUCE, partials, {"emit_every": 2})
    missing = [read_array(one)[1]["missing_positions"] for one in every]
    assert len(every) == (len(partials) - 1) // 2 + 1
    assert missing == sorted(missing, reverse=True)
    assert missing[-1] == 0 < missing[0]


def test_a_scan_that_is_not_complete_is_sent_at_the_end_with_what_is_missing() -> None:
    partials = call(PARTIAL, to_messages(make_events()), CROP)
    (message,) = call(REDUCE, partials[:-1], {"emit_every": 0})
    found, meta = read_array(message)
    assert not meta["complete"]
    assert 0 < meta["missing_positions"] <= np.isnan(found[0]).sum()


def test_a_position_that_came_before_is_refused_and_not_counted_twice() -> None:
    partials = call(PARTIAL, to_messages(make_events()), CROP)
    with pytest.raises(Alert, match=r"Position \d+ .*of scan 1 came before; the message is not counted"):
        call(REDUCE, [partials[0], partials[0]])


def test_a_scan_of_another_shape_under_the_same_number_is_refused() -> None:
    partials = call(PARTIAL, to_messages(make_events()), CROP)
    assert isinstance(partials[1].header.meta, dict)
    partials[1].header.meta["scan_shape"] = [42, 1]
    with pytest.raises(Alert, match="scan 1 is of 42 x 1 positions; those before of 6 x 7"):
        call(REDUCE, partials[:2])


def test_several_scans_are_kept_apart_and_the_oldest_is_given_out_when_there_are_too_many() -> None:
    scans = [call(PARTIAL, to_messages(make_events(number), number), CROP) for number in (1, 2, 3)]
    mixed = [message for at in range(2) for one in scans for message in (one[at],)]
    rest = [message for one in scans for message in one[2:]]
    assert [read_array(one)[1]["scan_number"] for one in call(REDUCE, [*mixed, *rest])] == [1, 2, 3]
    few = call(REDUCE, mixed[:3], {"max_concurrent_scans": 2})
    assert [read_array(one)[1]["scan_number"] for one in few] == [1, 2, 3]
    assert not any(read_array(one)[1]["complete"] for one in few)
