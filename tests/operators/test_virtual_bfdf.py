"""virtual-bfdf gives the image of the kernel, about the centre that the pattern has."""

from __future__ import annotations

import numpy as np
import pytest
from scan_messages import FRAME, SCAN, images_message, make_events, make_images, run_py, to_messages

from runstart.errors import Alert
from runstart.frame_messages import read_array
from runstart.frames import Detector, SparseFrames, detector_masks, find_center, sum_frames, virtual_images
from runstart.operators.testing import call

VIRTUAL = run_py("virtual-bfdf")
RING = {"inner_radius": 2.0, "outer_radius": 6.0, "subsample_step_center": 5}


def _expected(events: SparseFrames) -> tuple[np.ndarray, tuple[float, float]]:
    fifth = [index for index, position in enumerate(events.positions.tolist()) if position % 5 == 0]
    starts = np.cumsum([0, *(len(events.frame(index)) for index in fifth)])
    lists = np.concatenate([events.frame(index) for index in fifth])
    center = find_center(sum_frames(SparseFrames(events.positions[fifth], starts, lists, FRAME)))
    masks = detector_masks([Detector(name="ring", inner=2, outer=6)], center, FRAME)
    return virtual_images(events, SCAN, masks)[0].astype(np.float32), center


@pytest.mark.parametrize("each", [1, 3])
def test_the_image_is_the_kernels(each: int) -> None:
    events = make_events(each=each)
    (message,) = call(VIRTUAL, to_messages(events), RING)
    image, meta = read_array(message)
    expected, center = _expected(events)
    assert np.array_equal(image, expected)
    assert meta["center_used"] == pytest.approx(center, abs=1e-12)
    assert (meta["inner_radius"], meta["outer_radius"], meta["dtype"]) == (2.0, 6.0, "float32")


def test_the_order_of_batches_does_not_matter() -> None:
    messages = to_messages(make_events())
    (one,), (other,) = call(VIRTUAL, messages, RING), call(VIRTUAL, messages[::-1], RING)
    assert np.array_equal(read_array(one)[0], read_array(other)[0])


def test_images_come_every_few_batches_and_positions_without_a_frame_are_nan() -> None:
    messages = to_messages(make_events())
    images = call(VIRTUAL, messages[:5], RING | {"calculation_frequency": 2})
    assert [bool(np.isnan(read_array(one)[0]).any()) for one in images] == [True, True, True]
    assert read_array(images[-1])[1]["missing_positions"] == np.isnan(read_array(images[-1])[0]).sum()


def test_a_scan_without_electrons_has_no_centre_and_an_image_of_zeros() -> None:
    empty = SparseFrames(np.arange(42), np.zeros(43, np.int64), np.zeros(0, np.uint32), FRAME)
    (message,) = call(VIRTUAL, to_messages(empty))
    image, meta = read_array(message)
    assert meta["center_used"] is None
    assert not image.any()


def test_camera_images_and_radii_the_wrong_way_round_are_refused() -> None:
    with pytest.raises(Alert, match=r"camera images, not electron events.*electron-count"):
        call(VIRTUAL, [images_message(make_images())])
    with pytest.raises(Alert, match="inner_radius is 9, and outer_radius 3"):
        call(VIRTUAL, to_messages(make_events()), {"inner_radius": 9.0, "outer_radius": 3.0})
