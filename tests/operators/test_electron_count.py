"""electron-count finds what the kernel finds, in batches, single images and arrays."""

from __future__ import annotations

import numpy as np
import pytest
from scan_messages import FRAME, SCAN, images_message, make_events, make_images, run_py, to_messages

from runstart.errors import Alert
from runstart.frame_messages import array_message, read_batch
from runstart.frames import SparseFrames, count_electrons
from runstart.operators import BytesMessage, MessageHeader
from runstart.operators.testing import call

COUNT = run_py("electron-count")
THRESHOLDS = {"background_threshold": 28.0, "xray_threshold": 190.0}


def _same(found: SparseFrames, expected: SparseFrames) -> bool:
    return (
        np.array_equal(found.events, expected.events)
        and np.array_equal(found.starts, expected.starts)
        and np.array_equal(found.positions, expected.positions)
    )


def test_a_batch_of_images_becomes_the_kernels_events() -> None:
    images = make_images()
    (message,) = call(COUNT, [images_message(images)], THRESHOLDS)
    found = read_batch(message)
    assert isinstance(found.frames, SparseFrames)
    assert _same(found.frames, count_electrons(images, 28, 190))
    assert found.scan.scan_shape == SCAN


def test_an_array_of_a_scan_becomes_one_batch_of_it() -> None:
    images = make_images()
    (message,) = call(COUNT, [array_message(images.pixels.reshape(*SCAN, *FRAME))], THRESHOLDS)
    found = read_batch(message)
    assert isinstance(found.frames, SparseFrames)
    assert _same(found.frames, count_electrons(images, 28, 190))
    assert (found.scan.scan_shape, found.scan.total_frames) == (SCAN, 42)


def test_a_single_image_with_its_header_as_json_is_a_batch_of_one() -> None:
    images = make_images()
    header = {
        "scan_number": 4,
        "nSTEM_positions_per_row_m1": SCAN[1],
        "nSTEM_rows_m1": SCAN[0],
        "STEM_x_position_in_row": 3,
        "STEM_row_in_scan": 2,
        "modules": [0, 1, 2, 3],
        "frame_shape": list(FRAME),
        "data_size_bytes": images.pixels[0].nbytes,
        "dtype": "uint16",
    }
    (message,) = call(COUNT, [BytesMessage(MessageHeader(meta=header), images.pixels[17].tobytes())], THRESHOLDS)
    found = read_batch(message)
    assert found.frames.positions.tolist() == [17]
    assert isinstance(found.frames, SparseFrames)
    assert np.array_equal(found.frames.events, count_electrons(images, 28, 190).frame(17))
    assert found.scan.scan_number == 4


def test_what_is_counted_already_or_no_image_is_refused() -> None:
    with pytest.raises(Alert, match="electron events already"):
        call(COUNT, to_messages(make_events())[:1])
    with pytest.raises(Alert, match="An array of 5, float64, is no camera image"):
        call(COUNT, [array_message(np.ones(5))])
    with pytest.raises(Alert, match="background_threshold is 50, and xray_threshold 40"):
        call(COUNT, [images_message(make_images())], {"background_threshold": 50.0, "xray_threshold": 40.0})
