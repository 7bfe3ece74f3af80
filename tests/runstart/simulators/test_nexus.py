from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runstart.errors import Alert
from runstart.simulators import read_nexus_events

ISIS_START_NS = 1_460_429_932 * 10**9  # 2016-04-12T02:58:52 UTC
SNS_START_NS = 1_577_880_000 * 10**9 + 1  # 2020-01-01T12:00:00.000000001 UTC


def change(path: Path, name: str, value: Any, **attrs: Any) -> None:
    with h5py.File(path, "r+") as file:
        if name in file:
            attrs = {**dict(file[name].attrs), **attrs}
            del file[name]
        if value is not None:
            file[name] = value
            file[name].attrs.update(attrs)


def test_an_isis_file_is_read_whole(isis_file: Any) -> None:
    file = read_nexus_events(isis_file.path)
    (source,) = file.sources
    assert (file.instrument_name, file.run_number, file.title, file.n_periods) == ("SANS", 34484, "a title", 2)
    assert source.name == "detector_1_events"
    assert np.array_equal(source.detector_id, isis_file.detector_id)
    assert np.array_equal(source.pulse_index, isis_file.pulse_index)
    assert source.pulse_time_ns[:2].tolist() == [ISIS_START_NS + 2_500_000_000, ISIS_START_NS + 2_600_000_000]
    assert np.allclose(source.proton_charge, np.linspace(0.001, 0.002, 20))
    assert source.period.tolist() == [0, 1] * 10


def test_float32_microseconds_become_the_nearest_nanoseconds_of_their_double(isis_file: Any) -> None:
    (source,) = read_nexus_events(isis_file.path).sources
    expected = np.rint(isis_file.offset_us.astype(np.float64) * 1000)
    assert source.time_of_flight_ns.dtype == np.uint32
    assert np.array_equal(source.time_of_flight_ns, expected)


def test_an_sns_file_has_a_source_for_each_bank_with_events(sns_file: Path) -> None:
    file = read_nexus_events(sns_file)
    assert [source.name for source in file.sources] == ["bank1_events", "bank2_events"]
    assert (file.n_events, file.run_number, file.instrument_name) == (7, 1234, "SANS")
    assert file.sources[1].pulse_index.tolist() == [0, 0, 3]
    assert file.first_pulse_ns == SNS_START_NS + 500_000_000
    assert file.last_pulse_ns == SNS_START_NS + 1_500_000_000
    assert file.sources[0].time_of_flight_ns.tolist() == [1_000_000, 1_001_500, 1_003_000]


def test_the_charge_of_a_pulse_is_the_newest_before_it_in_microampere_hours(sns_file: Path) -> None:
    assert read_nexus_events(sns_file).sources[0].proton_charge.tolist() == [1.0, 1.0, 2.0]


@pytest.mark.parametrize(
    ("unit", "nanoseconds"),
    [("ns", 1), ("nanoseconds", 1), ("us", 10**3), ("µs", 10**3), ("microseconds", 10**3), ("ms", 10**6)],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32])
def test_times_of_flight_are_scaled_by_their_unit(isis_file: Any, unit: str, nanoseconds: int, dtype: type) -> None:
    values = (np.arange(isis_file.offset_us.size) % 50).astype(dtype)
    change(isis_file.path, "raw_data_1/detector_1_events/event_time_offset", values, units=unit)
    (source,) = read_nexus_events(isis_file.path).sources
    assert np.array_equal(source.time_of_flight_ns, (np.arange(values.size) % 50) * nanoseconds)


def test_pulse_times_count_from_the_entrys_start_where_they_have_no_offset(isis_file: Any) -> None:
    zero = "raw_data_1/detector_1_events/event_time_zero"
    with h5py.File(isis_file.path, "r+") as file:
        del file[zero].attrs["offset"]
    assert read_nexus_events(isis_file.path).first_pulse_ns == ISIS_START_NS + 2_500_000_000


def test_pulse_times_in_nanoseconds_since_1970_stay(isis_file: Any) -> None:
    times = 1_700_000_000_123_456_789 + np.arange(20, dtype=np.uint64)
    change(isis_file.path, "raw_data_1/detector_1_events/event_time_zero", times, units="ns")
    assert np.array_equal(read_nexus_events(isis_file.path).sources[0].pulse_time_ns, times)


@given(st.permutations(range(20)))
def test_pulses_out_of_order_are_put_in_order_with_their_events(tmp_path_factory: Any, order: list[int]) -> None:
    path = tmp_path_factory.mktemp("nexus") / "a.nxs"
    counts = np.arange(20) % 4
    times = np.array(order, dtype=np.float64)
    with h5py.File(path, "w") as file:
        file["entry/start_time"] = b"2016-04-12T02:58:52"
        file["entry/bank_events/event_index"] = np.cumsum(counts) - counts
        file["entry/bank_events/event_time_zero"] = times
        file["entry/bank_events/event_id"] = np.repeat(np.array(order), counts)
        file["entry/bank_events/event_time_offset"] = np.arange(counts.sum(), dtype=np.float32)
    (source,) = read_nexus_events(path).sources
    assert np.all(np.diff(source.pulse_time_ns) > 0)
    pulse_of_event = np.searchsorted(source.pulse_index, np.arange(source.n_events), side="right") - 1
    assert np.array_equal(source.detector_id, pulse_of_event)
    assert np.array_equal(np.sort(source.time_of_flight_ns), np.arange(counts.sum()) * 1000)


def test_events_without_pixels_are_read(isis_file: Any) -> None:
    change(isis_file.path, "raw_data_1/detector_1_events/event_id", None)
    file = read_nexus_events(isis_file.path)
    assert file.sources[0].detector_id is None
    assert file.n_events == isis_file.offset_us.size


@pytest.mark.parametrize(
    ("name", "value", "attrs", "told"),
    [
        ("event_time_offset", np.full(3, -1.0), {}, "negative"),
        ("event_time_offset", np.full(3, 5e6), {}, "beyond 4.29 s"),
        ("event_time_offset", np.full(3, np.nan), {}, "not a number"),
        ("event_time_offset", np.ones(3), {"units": "metre"}, "'metre' are not a time"),
        ("event_id", np.zeros(2, np.uint32), {}, "2 detector ids for"),
        ("event_id", np.full(3, -1), {}, "ids"),
        ("event_index", np.zeros(3, np.uint64), {}, "3 indices for 20 pulses"),
        ("event_index", np.arange(20)[::-1], {}, "does not rise"),
        ("event_index", np.arange(20) + 10**6, {}, "does not rise"),
        ("event_time_zero", np.arange(20.0), {"offset": "yesterday"}, "'yesterday', which is not a date"),
    ],
)
def test_a_file_that_contradicts_itself_is_refused(
    isis_file: Any, name: str, value: Any, attrs: dict[str, str], told: str
) -> None:
    change(isis_file.path, f"raw_data_1/detector_1_events/{name}", value, **attrs)
    with pytest.raises(Alert, match=told):
        read_nexus_events(isis_file.path)


def test_a_file_without_events_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.nxs", "w") as file:
        file.create_group("raw_data_1/instrument")
    with pytest.raises(Alert, match="no NXevent_data"):
        read_nexus_events(tmp_path / "a.nxs")


def test_a_file_that_is_not_hdf5_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.nxs").write_text("no")
    with pytest.raises(Alert, match="cannot be read as HDF5"):
        read_nexus_events(tmp_path / "a.nxs")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Alert, match="cannot be read"):
        read_nexus_events(tmp_path / "a.nxs")
