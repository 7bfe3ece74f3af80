from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scan_work_kit import FRAMES, make_header

from runstart.scans.accounting import Accountant

slots_lists = st.lists(st.lists(st.integers(-2, FRAMES + 2), max_size=40), max_size=6)


@given(slots_lists)
def test_every_stored_frame_is_in_exactly_one_column(parts: list[list[int]]) -> None:
    accountant = Accountant(make_header())
    for part in parts:
        accountant.take(np.array(part, np.int64))
    assert accountant.account().contradictions() == []


@given(slots_lists)
def test_the_first_frame_of_each_slot_counts_however_the_stream_is_cut(parts: list[list[int]]) -> None:
    accountant = Accountant(make_header())
    counts = [accountant.take(np.array(part, np.int64)).tolist() for part in parts]
    seen: set[int] = set()
    expected = [[0 <= s < FRAMES and not (s in seen or seen.add(s)) for s in part] for part in parts]
    assert counts == expected


def test_missing_frames_are_those_that_never_came() -> None:
    accountant = Accountant(make_header(frames_per_position=2))
    accountant.take(np.array([0, 1, 5, 5, -1], np.int64))
    account = accountant.account()
    assert (account.expected, account.seen, account.missing, account.duplicate, account.unplaced) == (
        2 * FRAMES,
        3,
        2 * FRAMES - 3,
        1,
        1,
    )
