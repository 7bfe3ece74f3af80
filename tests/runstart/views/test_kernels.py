"""The kernels' arithmetic, against integer division and numpy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runstart.views.kernels import BLOCK_EVENTS, LANES, count_tof, reciprocal

WIDTHS = st.one_of(
    st.integers(1, 2**31 - 1),
    st.builds(lambda power, off: min(max(2**power + off, 1), 2**31 - 1), st.integers(0, 31), st.integers(-2, 2)),
)


@given(width=WIDTHS, quotient=st.integers(0, 2**31 - 1), off=st.integers(-2, 2))
@example(width=1, quotient=2**31 - 1, off=0)
@example(width=2**31 - 1, quotient=1, off=-1)
def test_multiply_and_shift_is_integer_division_at_every_edge(width: int, quotient: int, off: int) -> None:
    # Only just below a multiple of the width can a rounded-up reciprocal go wrong.
    value = min(max(quotient % (2**31 // width + 1) * width + off, 0), 2**31 - 1)
    multiplier, shift = reciprocal(width)
    assert (value * multiplier) >> shift == value // width


@given(width=WIDTHS)
def test_product_fits_63_bits_and_multiplier_32(width: int) -> None:
    multiplier, _ = reciprocal(width)
    assert multiplier < 2**32
    assert (2**31 - 1) * multiplier < 2**63


@given(width=WIDTHS)
def test_error_bound_of_the_reciprocal_holds_for_the_whole_range(width: int) -> None:
    multiplier, shift = reciprocal(width)
    excess = multiplier * width - 2**shift
    assert 0 <= excess < width
    assert (2**31 - 1) * excess < 2**shift


@pytest.mark.parametrize("width", [0, -1, 2**31])
def test_width_out_of_range_is_refused(width: int) -> None:
    with pytest.raises(ValueError, match="bin width"):
        reciprocal(width)


@pytest.mark.parametrize("n_events", [0, 1, 3, 4, 5, BLOCK_EVENTS - 1, BLOCK_EVENTS, 2 * BLOCK_EVENTS + 3])
def test_every_block_and_remainder_is_counted_once(n_events: int) -> None:
    tof = np.arange(n_events, dtype=np.uint32)
    lanes = np.zeros((1, LANES, 11), np.uint32)
    inside = count_tof(tof, 0, 10_000, *reciprocal(1000), lanes, 0)
    expected = np.histogram(tof, np.arange(0, 10_001, 1000))[0]
    np.testing.assert_array_equal(lanes[0, :, :10].sum(axis=0), expected)
    assert inside == n_events
