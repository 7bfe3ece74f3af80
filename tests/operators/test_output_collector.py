"""output-collector keeps every message as a file that others read, and shows the newest picture."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image
from scan_messages import images_message, make_events, make_images, run_py, to_messages

from runstart.frame_messages import array_message, table_message
from runstart.operators import BytesMessage, MessageHeader
from runstart.operators.testing import call, published

COLLECTOR = run_py("output-collector")


def test_each_message_is_kept_in_order_with_a_fitting_type() -> None:
    array = np.arange(12.0).reshape(3, 4)
    buffer = io.BytesIO()
    Image.new("L", (2, 2)).save(buffer, "PNG")
    messages = [
        array_message(array, {"content": "virtual image"}),
        table_message({"one": [{"a": 1}]}),
        BytesMessage(MessageHeader(meta={"name": "a.png"}), buffer.getvalue()),
        BytesMessage(MessageHeader(), b"\x00\x01"),
    ]
    published.clear()
    call(COLLECTOR, messages, {"min_interval_s": 0.0})
    kept = [one for one in published if one.keep]
    assert [one.media_type for one in kept] == [
        "application/x-npy",
        "application/json",
        "image/png",
        "application/octet-stream",
    ]
    assert [one.name for one in kept] == ["virtual image", "", "a.png", ""]
    assert np.array_equal(np.load(io.BytesIO(kept[0].data)), array)
    assert kept[2].data == buffer.getvalue()
    assert [one.media_type for one in published if not one.keep] == ["image/png", "image/png"]


def test_batches_of_frames_are_archives_of_numpy() -> None:
    events, images = make_events(), make_images()
    published.clear()
    call(COLLECTOR, [*to_messages(events, size=10**6), images_message(images)])
    sparse, dense = (np.load(io.BytesIO(one.data)) for one in published)
    assert np.array_equal(sparse["events"], events.events)
    assert np.array_equal(sparse["starts"], events.starts)
    assert np.array_equal(dense["pixels"], images.pixels)


def test_an_array_that_cannot_be_drawn_is_kept_all_the_same() -> None:
    published.clear()
    call(
        COLLECTOR, [array_message(np.zeros((2, 0))), array_message(np.float64(3)), array_message(np.ones((1,) * 5))]
    )
    assert [one.keep for one in published] == [True, True, True]
