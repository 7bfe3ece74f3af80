"""Compiled accumulation of events into tables, in one pass over a message.

Every bin and every bank is half-open: a time of flight `t` lies in bin `k` if
`start + k * width <= t < start + (k + 1) * width`, in whole nanoseconds, and nothing is rounded. An event
that does not belong into a table is added to one spare cell behind it, so that the data can neither make the
loops mispredict a branch nor send an index out of bounds. Signed arrays are read as unsigned: a negative
value becomes one that no axis and no bank contains.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numba import njit

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["BLOCK_EVENTS", "LANES", "count_events", "count_tof", "reciprocal"]

_F = TypeVar("_F", bound=Callable[..., Any])
_compiled: Callable[[_F], _F] = njit(nogil=True, cache=True)

LANES = 4
"""Private TOF tables: successive events go to different ones, so that no add waits for the one before it."""

BLOCK_EVENTS = 1024
"""Events whose indices are computed before any is added: they stay in the first-level cache."""

_ONE = np.uint32(1)


def reciprocal(width_ns: int) -> tuple[int, int]:
    """Return `(multiplier, shift)` so that `(d * multiplier) >> shift` is `d // width_ns`.

    Exact for every `0 <= d < 2**31`, and the product stays below `2**63`. With `l = ceil(log2(width_ns))`,
    the multiplier is `2**(31 + l) / width_ns` rounded up, by less than one; so the quotient is too large by
    less than `d / 2**(31 + l) < 1 / 2**l <= 1 / width_ns`, which never reaches the next whole number.

    Parameters
    ----------
    width_ns : int
        Bin width in ns, 1 to 2**31 - 1.

    Returns
    -------
    multiplier, shift : int
        The multiplier is below 2**32, the shift between 31 and 62.

    Raises
    ------
    ValueError
        The width is outside its range.
    """
    if not 1 <= width_ns < 2**31:
        message = f"a bin width of {width_ns} ns is outside 1 to 2**31 - 1 ns"
        raise ValueError(message)
    shift = 31 + (width_ns - 1).bit_length()
    return -(-(1 << shift) // width_ns), shift


@_compiled
def count_tof(
    time_of_flight_ns: npt.NDArray[np.uint32],
    start_ns: int,
    span_ns: int,
    multiplier: int,
    shift: int,
    lanes: npt.NDArray[np.uint32],
    period: int,
) -> int:
    """Add events without detector ids to a TOF spectrum and return how many fell on its axis.

    Parameters
    ----------
    time_of_flight_ns : uint32[n_events]
        In ns; int32 data viewed as uint32.
    start_ns, span_ns : int
        The axis is `[start_ns, start_ns + span_ns)`, below 2**31 ns.
    multiplier, shift : int
        From `reciprocal`.
    lanes : uint32[n_periods, LANES, bins + 1]
        Private spectra, added to in place; the last cell of each takes what is off the axis.
    period : int
        Index into the leading dimension.
    """
    start = np.uint32(start_ns)
    span = np.uint32(span_ns)
    factor = np.uint64(multiplier)
    bits = np.uint64(shift)
    lane_0, lane_1, lane_2, lane_3 = lanes[period, 0], lanes[period, 1], lanes[period, 2], lanes[period, 3]
    spare = np.uint32(lane_0.size - 1)
    bins = np.empty(BLOCK_EVENTS, np.uint32)
    inside = 0
    for first in range(0, time_of_flight_ns.size, BLOCK_EVENTS):
        block = time_of_flight_ns[first : first + BLOCK_EVENTS]
        n = block.size
        for i in range(n):
            since = np.uint32(block[i] - start)
            on_axis = since < span
            inside += int(on_axis)
            bins[i] = np.uint32((np.uint64(since) * factor) >> bits) if on_axis else spare
        n_fours = n // LANES * LANES
        for i in range(0, n_fours, LANES):
            lane_0[bins[i]] += _ONE
            lane_1[bins[i + 1]] += _ONE
            lane_2[bins[i + 2]] += _ONE
            lane_3[bins[i + 3]] += _ONE
        for i in range(n_fours, n):
            lane_0[bins[i]] += _ONE
    return inside


@_compiled
def count_events(
    time_of_flight_ns: npt.NDArray[np.uint32],
    detector_id: npt.NDArray[np.uint32],
    start_ns: int,
    span_ns: int,
    multiplier: int,
    shift: int,
    first_id: int,
    n_ids: int,
    lookup: npt.NDArray[np.int32] | None,
    lanes: npt.NDArray[np.uint32],
    pixel: npt.NDArray[Any],
    pixel_tof: npt.NDArray[Any] | None,
    period: int,
) -> tuple[int, int]:
    """Add events to the TOF spectrum, the pixel counts and pixel x TOF in one pass.

    Parameters
    ----------
    time_of_flight_ns, detector_id : uint32[n_events]
        int32 data viewed as uint32.
    start_ns, span_ns, multiplier, shift, lanes, period
        As for `count_tof`.
    first_id, n_ids : int
        Ids outside `[first_id, first_id + n_ids)` are unknown; the interval ends at 2**32 at the latest.
    lookup : int32[n_ids + 1] or None
        Pixel of each id, -1 for an unknown one and in the last cell. None: the pixel is `id - first_id`.
    pixel : uint32 or uint64[n_periods, pixels + 1]
        Added to in place; the last cell is the spare one.
    pixel_tof : uint32 or uint64[n_periods, pixels * bins + 1] or None
        Added to in place; the last cell is the spare one.

    Returns
    -------
    counted, known : int
        Events that are in every table now; events of known detectors, whatever their time of flight.
    """
    start = np.uint32(start_ns)
    span = np.uint32(span_ns)
    factor = np.uint64(multiplier)
    bits = np.uint64(shift)
    origin = np.uint32(first_id)
    n_known = np.uint32(n_ids)
    lane_0, lane_1, lane_2, lane_3 = lanes[period, 0], lanes[period, 1], lanes[period, 2], lanes[period, 3]
    spare_bin = np.uint32(lane_0.size - 1)
    counts = pixel[period]
    spare_pixel = np.uint32(counts.size - 1)
    bins = np.empty(BLOCK_EVENTS, np.uint32)
    pixels = np.empty(BLOCK_EVENTS, np.uint32)
    if pixel_tof is not None:
        cells = pixel_tof[period]
        spare_cell = np.uint64(cells.size - 1)
        indices = np.empty(BLOCK_EVENTS, np.uint64)
    counted = 0
    known = 0
    for first in range(0, time_of_flight_ns.size, BLOCK_EVENTS):
        block = time_of_flight_ns[first : first + BLOCK_EVENTS]
        ids = detector_id[first : first + BLOCK_EVENTS]
        n = block.size
        for i in range(n):
            since = np.uint32(block[i] - start)
            place = np.uint32(ids[i] - origin)
            if lookup is None:
                is_known = place < n_known
            else:
                found = lookup[place if place < n_known else n_known]
                is_known = found >= 0
                place = np.uint32(found)
            is_counted = is_known & (since < span)
            known += int(is_known)
            counted += int(is_counted)
            bins[i] = np.uint32((np.uint64(since) * factor) >> bits) if is_counted else spare_bin
            pixels[i] = place if is_counted else spare_pixel
        n_fours = n // LANES * LANES
        for i in range(0, n_fours, LANES):
            lane_0[bins[i]] += _ONE
            lane_1[bins[i + 1]] += _ONE
            lane_2[bins[i + 2]] += _ONE
            lane_3[bins[i + 3]] += _ONE
            counts[pixels[i]] += _ONE
            counts[pixels[i + 1]] += _ONE
            counts[pixels[i + 2]] += _ONE
            counts[pixels[i + 3]] += _ONE
        for i in range(n_fours, n):
            lane_0[bins[i]] += _ONE
            counts[pixels[i]] += _ONE
        if pixel_tof is not None:
            for i in range(n):
                cell = np.uint64(pixels[i]) * np.uint64(spare_bin) + np.uint64(bins[i])
                indices[i] = min(cell, spare_cell)
            for i in range(n):
                cells[indices[i]] += _ONE
    return counted, known
