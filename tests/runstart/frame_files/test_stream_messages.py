from __future__ import annotations

import numpy as np
import pytest

from runstart.errors import Alert
from runstart.frame_files import SlotNumbers, batch_header, pack_message, unpack_message
from runstart.frames import SparseFrames


def test_a_message_gives_back_header_and_data() -> None:
    assert unpack_message(pack_message(b"header", b"data")) == (b"header", b"data")


@pytest.mark.parametrize("message", [b"", b"\x01\0\0", b"\x05\0\0\0head", b"\xff\xff\xff\xff"])
def test_a_message_that_is_too_short_is_refused(message: bytes) -> None:
    with pytest.raises(Alert, match=r"frames\[0\]@7 has"):
        unpack_message(message, "frames[0]@7")


@pytest.mark.parametrize(
    ("numbers", "slots"), [(None, [4, 5, 5, 0]), ([5, 4, 4, 0], [5, 4, 4, 0]), ([9, 4, 5, 1], [4, 4, 5, 1])]
)
def test_frames_have_the_slot_of_their_number_or_of_their_turn(numbers: list[int] | None, slots: list[int]) -> None:
    frames = SparseFrames(np.array([2, 2, 2, 0]), np.zeros(5, np.int64), np.zeros(0, np.uint32), (8, 8))
    header = batch_header(frames, (2, 3), frame_numbers=None if numbers is None else np.array(numbers))
    numbering = SlotNumbers(2)
    assert numbering.take(header).tolist() == slots
    assert numbering.total == 4
