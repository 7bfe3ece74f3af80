"""Shifts that hold the beam still."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from runstart.frames.beam_compensation import beam_shifts

METHODS = ["interpolate", "plane"]
SHAPES = st.tuples(st.integers(1, 9), st.integers(1, 9))


def tilted(shape: tuple[int, int], columns: tuple[float, float], rows: tuple[float, float]) -> np.ndarray:
    """Return a vacuum scan whose beam moves by so much from the first to the last row and column of the scan."""
    down, across = (np.linspace(0, 1, n) for n in shape)
    return np.stack([a * down[:, None] + b * across[None] for a, b in (columns, rows)])


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=30)
@given(vacuum=SHAPES, scan=SHAPES, place=st.tuples(*[st.floats(0, 500)] * 2))
def test_a_beam_that_stands_still_is_left_where_it_is(
    method: str, vacuum: tuple[int, int], scan: tuple[int, int], place: tuple[float, float]
) -> None:
    center_of_mass = np.broadcast_to(np.array(place, np.float32)[:, None, None], (2, *vacuum))
    shifts = beam_shifts(center_of_mass, scan, method)

    np.testing.assert_array_equal(shifts, np.zeros((scan[0] * scan[1], 2), np.int32), strict=True)


@pytest.mark.parametrize("method", METHODS)
def test_rows_come_first_and_content_moves_against_the_beam(method: str) -> None:
    vacuum = tilted((2, 3), columns=(0, 4), rows=(10, 0))
    shifts = beam_shifts(vacuum, (2, 3), method)

    assert shifts.reshape(2, 3, 2)[..., 0].tolist() == [[5, 5, 5], [-5, -5, -5]]
    assert shifts.reshape(2, 3, 2)[..., 1].tolist() == [[2, 0, -2], [2, 0, -2]]


@settings(max_examples=40)
@given(
    arrays(np.float64, st.tuples(st.just(2), st.integers(1, 6), st.integers(1, 6)), elements=st.floats(0, 99)),
)
def test_what_remains_of_the_beams_path_is_at_most_half_a_pixel(vacuum: np.ndarray) -> None:
    shape = vacuum.shape[1:]
    columns, rows = vacuum - vacuum.mean(axis=(1, 2), keepdims=True)
    left = beam_shifts(vacuum, shape) + np.stack([rows.ravel(), columns.ravel()], axis=1)

    assert np.abs(left).max() <= 0.5 + 1e-9


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=40)
@given(
    vacuum=st.tuples(st.integers(2, 9), st.integers(2, 9)),
    scan=st.tuples(st.integers(2, 12), st.integers(2, 12)),
    slopes=st.tuples(*[st.integers(-40, 40)] * 4),
)
def test_a_plane_is_followed_whatever_the_sizes_of_the_scans(
    method: str, vacuum: tuple[int, int], scan: tuple[int, int], slopes: tuple[int, int, int, int]
) -> None:
    columns, rows = tilted(scan, slopes[:2], slopes[2:])
    exact = np.stack([rows.mean() - rows, columns.mean() - columns], axis=-1).reshape(-1, 2)

    assert np.abs(beam_shifts(tilted(vacuum, slopes[:2], slopes[2:]), scan, method) - exact).max() < 0.5 + 1e-9


def test_between_the_positions_of_the_vacuum_scan_the_beam_is_interpolated_along_both_axes() -> None:
    corners = np.zeros((2, 2, 2))
    corners[1] = [[0, 40], [80, 280]]
    rows = beam_shifts(corners, (3, 3)).reshape(3, 3, 2)[..., 0]

    assert rows.tolist() == [[100, 80, 60], [60, 0, -60], [20, -80, -180]]


def test_half_pixels_are_rounded_to_even() -> None:
    vacuum = np.zeros((2, 1, 6))
    vacuum[1, 0] = [0, 1, 2, 3, 4, 5]

    assert beam_shifts(vacuum, (1, 6))[:, 0].tolist() == [2, 2, 0, 0, -2, -2]


def test_a_plane_is_proof_against_noise_that_interpolation_follows() -> None:
    vacuum = tilted((40, 40), columns=(0, 20), rows=(30, 0)) + np.random.default_rng(1).normal(0, 2, (2, 40, 40))
    columns, rows = tilted((40, 40), columns=(0, 20), rows=(30, 0))
    exact = np.stack([15 - rows, 10 - columns], axis=-1).reshape(-1, 2)

    assert np.abs(beam_shifts(vacuum, (40, 40), "plane") - exact).max() < 1
    assert np.abs(beam_shifts(vacuum, (40, 40)) - exact).max() > 3


@pytest.mark.parametrize("method", METHODS)
def test_positions_that_are_not_known_are_taken_from_the_plane(method: str) -> None:
    whole = tilted((5, 6), columns=(20.7, -40.9), rows=(10.3, 30.9))
    with_holes = whole.copy()
    with_holes[0, 0, 0] = with_holes[1, 2, 3] = np.nan
    with_holes[:, 4, 5] = np.inf

    np.testing.assert_array_equal(beam_shifts(with_holes, (5, 6), method), beam_shifts(whole, (5, 6), method))


def test_interpolation_keeps_to_what_is_known_beside_a_hole() -> None:
    vacuum = np.zeros((2, 3, 3))
    vacuum[1] = [[90, 0, 0], [0, np.nan, 0], [0, 0, 0]]
    rows = beam_shifts(vacuum, (3, 3)).reshape(3, 3, 2)[..., 0]

    assert rows[0, 0] - rows[0, 1] == -90
    assert len(set(rows[vacuum[1] == 0].tolist())) == 1


@pytest.mark.parametrize("method", METHODS)
def test_a_single_known_position_moves_nothing(method: str) -> None:
    vacuum = np.full((2, 4, 4), np.nan)
    vacuum[:, 1, 2] = 100.0

    assert not beam_shifts(vacuum, (5, 5), method).any()


@pytest.mark.parametrize("method", METHODS)
def test_known_positions_on_one_line_tilt_the_plane_along_it_only(method: str) -> None:
    vacuum = np.full((2, 5, 5), np.nan)
    vacuum[:, 2] = [0, 10, 20, 30, 40]
    shifts = beam_shifts(vacuum, (5, 5), method).reshape(5, 5, 2)

    assert shifts[..., 0].tolist() == [[20, 10, 0, -10, -20]] * 5


@pytest.mark.parametrize(
    ("vacuum", "scan", "method"),
    [
        (np.full((2, 3, 3), np.nan), (3, 3), "plane"),
        (np.stack([np.zeros((3, 3)), np.full((3, 3), np.nan)]), (3, 3), "interpolate"),
        (np.zeros((2, 0, 3)), (3, 3), "interpolate"),
        (np.zeros((3, 3)), (3, 3), "interpolate"),
        (np.zeros((2, 3, 3)), (0, 3), "interpolate"),
        (np.zeros((2, 3, 3)), (3, 3), "interp"),
    ],
)
def test_what_gives_no_shifts_is_an_error(vacuum: np.ndarray, scan: tuple[int, int], method: str) -> None:
    with pytest.raises(ValueError, match=r"no position|shape|no positions|the method is"):
        beam_shifts(vacuum, scan, method)
