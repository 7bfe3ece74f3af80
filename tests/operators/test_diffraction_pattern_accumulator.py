"""diffraction-pattern-accumulator adds up every frame of a scan, once."""

from __future__ import annotations

import numpy as np
import pytest
from scan_messages import images_message, make_events, make_images, run_py, to_messages

from runstart.errors import Alert
from runstart.frame_messages import read_array
from runstart.frames import sum_frames
from runstart.operators.testing import call

PATTERN = run_py("diffraction-pattern-accumulator")


def test_the_pattern_of_events_is_that_of_all_positions() -> None:
    events = make_events(each=2)
    message = call(PATTERN, to_messages(events))[-1]
    pattern, meta = read_array(message)
    assert np.array_equal(pattern, sum_frames(events))
    assert (pattern.dtype, meta["frames"], meta["complete"]) == (np.float64, 84, True)


def test_the_pattern_of_camera_images_is_their_sum() -> None:
    images = make_images()
    message = call(PATTERN, [images_message(images, 0, 9), images_message(images, 9)])[-1]
    assert np.array_equal(read_array(message)[0], images.pixels.sum(axis=0, dtype=np.float64))


def test_patterns_come_every_so_many_frames_and_at_the_end() -> None:
    messages = to_messages(make_events(), size=1)  # each position alone
    frames = [read_array(one)[1]["frames"] for one in call(PATTERN, messages, {"update_frequency": 10})]
    assert frames == [10, 20, 30, 40, 42]
    frames = [read_array(one)[1]["frames"] for one in call(PATTERN, messages[:15], {"update_frequency": 0})]
    assert frames == [15]


def test_events_and_images_are_not_added_to_each_other() -> None:
    messages = [to_messages(make_events(), size=1)[0], images_message(make_images(), 5)]
    with pytest.raises(Alert, match="not like those before"):
        call(PATTERN, messages)
