"""Views against numpy, for any events in any order and any split."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from runstart.errors import Alert
from runstart.instruments import Bank, Instrument, TofAxis
from runstart.views import Tally, Views, warm_up

Array = npt.NDArray[Any]
ALL_VIEWS = ("tof", "pixel", "image", "pixel_tof")

LAYOUTS = {
    "one interval": (Bank(name="rear", shape=(3, 4), first_detector_id=5),),
    "two touching banks": (
        Bank(name="rear", shape=(2, 3), first_detector_id=0),
        Bank(name="front", shape=(4,), first_detector_id=6),
    ),
    "gap and reversed order": (
        Bank(name="front", shape=(2, 2), first_detector_id=20),
        Bank(name="rear", shape=(3, 2), first_detector_id=4),
    ),
    "across the sign bit": (
        Bank(name="low", shape=(2,), first_detector_id=2**31 - 4),
        Bank(name="high", shape=(2, 2), first_detector_id=2**31 - 1),
    ),
    "last ids of all": (Bank(name="top", shape=(5,), first_detector_id=2**32 - 5),),
}


def make_instrument(layout: str = "one interval", **changes: Any) -> Instrument:
    fields: dict[str, Any] = {
        "name": "TEST",
        "banks": LAYOUTS[layout],
        "tof": TofAxis(start_us=1, stop_us=8, bins=7),
        "views": ALL_VIEWS,
    }
    return Instrument(**{**fields, **changes})


def pixels_of(instrument: Instrument, ids: Array) -> Array:
    """Return the pixel of each id, -1 for none: the slow and obvious way."""
    table = {}
    for bank in instrument.banks:
        for i in range(bank.size):
            table[bank.first_detector_id + i] = len(table)
    return np.array([table.get(int(i), -1) for i in ids], np.int64)


def expected_tables(instrument: Instrument, tof: Array, ids: Array) -> tuple[Tally, dict[str, Array]]:
    """Return what numpy makes of the same events."""
    axis = instrument.tof
    pixel = pixels_of(instrument, ids)
    known = pixel >= 0
    inside = (tof.astype(np.int64) >= axis.start_ns) & (tof.astype(np.int64) < axis.stop_ns)
    good = known & inside
    bins = (tof[good].astype(np.int64) - axis.start_ns) // axis.width_ns
    n_pixels = instrument.pixel_count
    tally = Tally(int(good.sum()), 0, int((~known).sum()), int((known & ~inside).sum()))
    return tally, {
        "tof": np.bincount(bins, minlength=axis.bins)[None],
        "pixel": np.bincount(pixel[good], minlength=n_pixels)[None],
        "pixel_tof": np.bincount(pixel[good] * axis.bins + bins, minlength=n_pixels * axis.bins).reshape(
            1, n_pixels, axis.bins
        ),
    }


def assert_same_tables(views: Views, expected: dict[str, Array]) -> None:
    for name, table in views.arrays().items():
        np.testing.assert_array_equal(table, expected[name], err_msg=name)


@st.composite
def events(draw: st.DrawFn, layout: str) -> tuple[Array, Array]:
    n = draw(st.integers(0, 40))
    instrument = make_instrument(layout)
    interesting_ids = [b.first_detector_id + d for b in instrument.banks for d in range(-2, b.size + 2)]
    arrays = []
    for likely in (st.integers(990, 8010), st.sampled_from(interesting_ids)):
        dtype = draw(st.sampled_from([np.dtype(np.uint32), np.dtype(np.int32)]))
        limits = np.iinfo(dtype)
        anything = st.integers(int(limits.min), int(limits.max))
        element = st.one_of(likely.filter(lambda v, info=limits: info.min <= v <= info.max), anything)
        arrays.append(draw(hnp.arrays(dtype, n, elements=element, fill=st.nothing())))
    return arrays[0], arrays[1]


@pytest.mark.parametrize("layout", list(LAYOUTS))
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_tables_and_tally_equal_numpy_for_any_events(layout: str, data: st.DataObject) -> None:
    tof, ids = data.draw(events(layout))
    instrument = make_instrument(layout)
    tof.flags.writeable = ids.flags.writeable = False
    views = Views(instrument)
    tally = views.add(tof, ids, 0)
    expected_tally, expected = expected_tables(instrument, tof, ids)
    assert tally == expected_tally
    assert sum(tally) == tof.size
    assert_same_tables(views, expected)


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_any_split_of_the_events_gives_the_same(data: st.DataObject) -> None:
    tof, ids = data.draw(events("gap and reversed order"))
    cuts = sorted(data.draw(st.lists(st.integers(0, tof.size), max_size=4)))
    instrument = make_instrument("gap and reversed order")
    whole, parts, merged = Views(instrument), Views(instrument), Views(instrument)
    whole.add(tof, ids, 0)
    for begin, end in zip([0, *cuts], [*cuts, tof.size], strict=True):
        parts.add(tof[begin:end], ids[begin:end], 0)
        one = Views(instrument)
        one.add(tof[begin:end], ids[begin:end], 0)
        merged.merge(one)
    assert_same_tables(parts, whole.arrays())
    assert_same_tables(merged, whole.arrays())


def test_many_events_equal_numpy() -> None:
    rng = np.random.default_rng(2)
    instrument = make_instrument("gap and reversed order")
    tof = rng.integers(0, 9000, 50_001).astype(np.uint32)
    ids = rng.integers(0, 30, 50_001).astype(np.uint32)
    views = Views(instrument)
    tally, expected = expected_tables(instrument, tof, ids)
    assert views.add(tof, ids, 0) == tally
    assert_same_tables(views, expected)


def test_events_without_pixel_are_in_the_tof_spectrum_only() -> None:
    views = Views(make_instrument())
    tally = views.add(np.array([999, 1000, 7999, 8000, -5], np.int32), None, 0)
    assert tally == Tally(without_pixel=2, out_of_tof_range=3)
    assert views.tof.tolist() == [[1, 0, 0, 0, 0, 0, 1]]
    assert views.pixel.sum() == 0


def test_unknown_detector_takes_precedence_over_the_time_of_flight() -> None:
    tally = Views(make_instrument()).add(np.array([0, 0, 2000], np.uint32), np.array([99, 5, 99], np.uint32), 0)
    assert tally == Tally(unknown_detector=2, out_of_tof_range=1)


def test_bin_edges_belong_to_the_bin_above() -> None:
    edges = TofAxis(start_us=1, stop_us=8, bins=7).edges_ns()
    views = Views(make_instrument())
    views.add(edges.astype(np.uint32), None, 0)
    assert views.tof.tolist() == [[1] * 7]


def test_bank_image_has_rows_of_ascending_ids_and_shares_memory() -> None:
    views = Views(make_instrument("gap and reversed order"), 2)
    views.add(np.full(3, 1000, np.uint32), np.array([4, 5, 9], np.uint32), 1)
    image = views.bank_image(1)
    assert image.shape == (2, 3, 2)
    assert image[1].tolist() == [[1, 1], [0, 0], [0, 1]]
    assert np.shares_memory(image, views.pixel)


def test_periods_are_kept_apart() -> None:
    views = Views(make_instrument(), 3)
    for period, n in enumerate([1, 2, 3]):
        views.add(np.full(n, 1000, np.uint32), np.full(n, 5, np.uint32), period)
    assert views.tof[:, 0].tolist() == [1, 2, 3]
    assert views.pixel[:, 0].tolist() == [1, 2, 3]
    assert views.pixel_tof is not None
    assert views.pixel_tof[:, 0, 0].tolist() == [1, 2, 3]
    assert views.pixel_tof.sum() == 6


@pytest.mark.parametrize("period", [-1, 2])
def test_a_period_that_does_not_exist_changes_nothing(period: int) -> None:
    views = Views(make_instrument(), 2)
    with pytest.raises(IndexError, match="period index"):
        views.add(np.zeros(1, np.uint32), None, period)
    assert views.tof.sum() == 0


def test_pixel_tof_is_kept_only_when_declared() -> None:
    views = Views(make_instrument(views=("tof", "pixel")))
    views.add(np.array([1000], np.uint32), np.array([5], np.uint32), 0)
    assert views.pixel_tof is None
    assert list(views.arrays()) == ["tof", "pixel"]


def test_counts_go_on_past_32_bits() -> None:
    views = Views(make_instrument())
    full = {name: table.copy() for name, table in views.arrays().items()}
    full["tof"][0, 0] = 2**32 - 3
    full["pixel"][0, 0] = 2**32 - 3
    full["pixel_tof"][0, 0, 0] = 2**32 - 3
    views.load(full)
    views.add(np.full(10, 1000, np.uint32), np.full(10, 5, np.uint32), 0)
    assert views.pixel.dtype == np.uint64
    assert {int(table.max()) for table in views.arrays().values()} == {2**32 + 7}


def test_tables_stay_narrow_while_no_cell_is_half_full() -> None:
    views = Views(make_instrument())
    views._room = 3
    views.add(np.full(10, 1000, np.uint32), np.full(10, 5, np.uint32), 0)
    assert views.pixel.dtype == np.uint32
    assert views.pixel.sum() == 10


def test_spare_cells_may_wrap_without_touching_a_count() -> None:
    views = Views(make_instrument())
    views._pixel[:, -1] = 2**32 - 1
    views.add(np.full(5, 0, np.uint32), np.full(5, 5, np.uint32), 0)
    assert views.pixel.sum() == 0


def test_merge_widens_when_the_sum_needs_it() -> None:
    one, other = Views(make_instrument()), Views(make_instrument())
    for views in (one, other):
        tables = {name: table.copy() for name, table in views.arrays().items()}
        tables["pixel"][0, 3] = 2**31
        views.load(tables)
    one.merge(other)
    assert one.pixel[0, 3] == 2**32


def test_merge_of_other_geometry_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot be merged"):
        Views(make_instrument()).merge(Views(make_instrument(), 2))


def test_stored_tables_load_again_and_go_on() -> None:
    tof, ids = np.full(4, 1500, np.uint32), np.array([5, 6, 7, 99], np.uint32)
    views, resumed = Views(make_instrument()), Views(make_instrument())
    views.add(tof, ids, 0)
    resumed.load({name: table.copy() for name, table in views.arrays().items()})
    views.add(tof, ids, 0)
    resumed.add(tof, ids, 0)
    assert_same_tables(resumed, views.arrays())


def test_copy_is_independent() -> None:
    views = Views(make_instrument())
    before = views.copy()
    views.add(np.full(4, 1500, np.uint32), np.full(4, 5, np.uint32), 0)
    assert {int(table.sum()) for table in before.arrays().values()} == {0}
    assert {int(table.sum()) for table in views.arrays().values()} == {4}


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("tof", lambda t: t[:, :-1]),
        ("tof", lambda t: t.astype(np.float64)),
        ("pixel", lambda t: t.astype(np.int64)),
        ("pixel", lambda t: np.concatenate([t, t])),
        ("pixel_tof", lambda t: t.reshape(1, -1)),
        ("pixel_tof", lambda t: None),
    ],
)
def test_stored_tables_that_do_not_fit_are_an_alert_that_names_them(name: str, change: Any) -> None:
    views = Views(make_instrument())
    tables: dict[str, Any] = dict(views.arrays())
    tables[name] = change(tables[name])
    with pytest.raises(Alert, match=f"'{name}'.*start the run clean"):
        views.load({key: table for key, table in tables.items() if table is not None})


def test_stored_pixel_tof_that_is_no_longer_declared_is_an_alert() -> None:
    with pytest.raises(Alert, match="not declared"):
        Views(make_instrument(views=("tof",))).load(Views(make_instrument()).arrays())


@pytest.mark.parametrize("n_periods", [10**4, 2**32 - 1])
def test_too_many_periods_are_an_alert_that_says_what_is_needed(n_periods: int) -> None:
    with pytest.raises(Alert, match=r"need [\d,]+ MB for .* periods, but max_memory_mb is 1\..*raise"):
        Views(make_instrument(max_memory_mb=1), n_periods)


def test_no_period_at_all_is_an_alert() -> None:
    with pytest.raises(Alert, match="0 periods"):
        Views(make_instrument(), 0)


def test_absurdly_scattered_ids_are_an_alert() -> None:
    banks = (
        Bank(name="low", shape=(2,), first_detector_id=0),
        Bank(name="high", shape=(2,), first_detector_id=2**31),
    )
    with pytest.raises(Alert, match=r"scattered over 2,147,483,650"):
        Views(make_instrument(banks=banks))


@pytest.mark.parametrize(
    ("tof", "ids"),
    [
        (np.zeros(2, np.uint32), np.zeros(3, np.uint32)),
        (np.zeros(2, np.int64), None),
        (np.zeros((1, 2), np.uint32), None),
        (np.zeros(2, np.uint32), np.zeros(2, np.float32)),
    ],
)
def test_arrays_that_are_not_events_are_refused(tof: Array, ids: Array | None) -> None:
    with pytest.raises(ValueError, match=r"events|detector ids"):
        Views(make_instrument()).add(tof, ids, 0)


def test_strided_and_misaligned_arrays_are_counted_like_others() -> None:
    raw = b"\0" + np.array([1000, 2000, 9999], np.uint32).tobytes()
    misaligned = np.frombuffer(raw, np.uint32, 3, 1)
    strided = np.repeat(np.array([5, 6, 7], np.int32), 2)[::2]
    views = Views(make_instrument())
    assert views.add(misaligned, strided, 0) == Tally(counted=2, out_of_tof_range=1)


@pytest.mark.parametrize("layout", list(LAYOUTS))
def test_no_kernel_is_compiled_after_warm_up(layout: str) -> None:
    from runstart.views.kernels import count_events, count_tof

    instrument = make_instrument(layout)
    warm_up(instrument)
    before = [len(kernel.signatures) for kernel in (count_events, count_tof)]
    views = Views(instrument, 2)
    for dtype in (np.uint32, np.int32):
        views.add(np.zeros(1, dtype), np.zeros(1, dtype), 1)
        views.add(np.zeros(1, dtype), None, 0)
    views._pixel = views._pixel.astype(np.uint64)
    views._cells = views._cells.astype(np.uint64)  # type: ignore[union-attr]
    views.add(np.zeros(1, np.uint32), np.zeros(1, np.uint32), 0)
    assert [len(kernel.signatures) for kernel in (count_events, count_tof)] == before


def test_nbytes_covers_every_table() -> None:
    views = Views(make_instrument())
    assert views.nbytes >= sum(table.nbytes for table in views.arrays().values())
