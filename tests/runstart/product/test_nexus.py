"""The NeXus file holds everything, opens in a stock viewer, and is the same every time."""

from __future__ import annotations

import io
import re
import time
from collections.abc import Callable

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from silx.io.nxdata import get_default, is_valid_nxdata

from runstart.errors import Alert
from runstart.events import DetectorSpectrumMap
from runstart.logs import LogSeries
from runstart.product import RunProduct, content_digest, digest_arrays, nexus_bytes, read_product
from runstart.product._nexus_logs import safe_names
from runstart.product.nexus import iso_time
from runstart.views import Views

Maker = Callable[..., RunProduct]


def opened(product: RunProduct) -> h5py.File:
    return h5py.File(io.BytesIO(nexus_bytes(product)), "r")


@pytest.mark.parametrize("n_periods", [1, 3])
@pytest.mark.parametrize("n_events", [0, 2000])
def test_what_is_written_is_read_back(make_product: Maker, n_events: int, n_periods: int) -> None:
    product = make_product(n_events, n_periods)
    stored = read_product(nexus_bytes(product))
    expected = {**product.views.arrays(), **product.series.arrays()}
    assert stored.arrays.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(stored.arrays[name], array, strict=True)
    assert stored.ledger == product.ledger
    assert (stored.run_name, stored.partition_key) == (product.run_name, product.partition_key)
    assert stored.digest == stored.written_digest == content_digest(product.views, product.series, product.ledger)


def test_the_same_product_gives_the_same_bytes_at_any_time(make_product: Maker) -> None:
    first = nexus_bytes(make_product())
    time.sleep(1.1)  # HDF5 keeps its times in whole seconds
    assert nexus_bytes(make_product()) == first


@pytest.mark.parametrize("n_periods", [1, 2])
@pytest.mark.parametrize("n_events", [0, 2000])
def test_a_stock_viewer_opens_on_the_tof_spectrum(make_product: Maker, n_events: int, n_periods: int) -> None:
    product = make_product(n_events, n_periods)
    with opened(product) as file:
        plot = get_default(file)
        assert plot is not None
        assert plot.title == "TOF spectrum"
        assert plot.axes_names[-1].startswith("Time of flight")
        np.testing.assert_array_equal(np.atleast_2d(plot.signal[()]), product.views.tof)


@pytest.mark.parametrize("n_periods", [1, 2])
def test_a_stock_viewer_can_plot_every_view(make_product: Maker, n_periods: int) -> None:
    with opened(make_product(n_periods=n_periods)) as file:
        plots = []
        for name, item in file["entry"].items():
            if isinstance(item, h5py.Group) and item.attrs["NX_class"] == "NXdata":
                plots.append(name)
                assert is_valid_nxdata(item), name
        assert plots == [
            "bank_name_counts",
            "bank_name_pixel_tof",
            "bank_rear_counts",
            "bank_rear_pixel_tof",
            "counts_per_pixel",
            "event_rate",
            "proton_charge",
            "tof_spectrum",
        ]


def test_counts_stand_at_their_detector_and_in_their_bin(make_product: Maker) -> None:
    product = make_product(0)
    product.views.add(np.array([1000, 2999], np.uint32), np.array([22, 500], np.uint32), 0)
    with opened(product) as file:
        entry = file["entry"]
        rear = entry["instrument/bank_rear"]
        assert rear["detector_number"][rear["data"][()] == 1].tolist() == [22]
        assert rear["data"][1, 1] == 1
        assert entry["bank_name_counts/counts"][0] == 1
        assert entry["bank_rear_pixel_tof/counts"][1, 1, 0] == 1
        assert entry["tof_spectrum/time_of_flight_edges_ns"][0] == 1000
        assert entry["tof_spectrum/time_of_flight_edges"][1] == 3.0
        assert entry["tof_spectrum/time_of_flight"][0] == 2.0
        assert entry["tof_spectrum/time_of_flight"].attrs["units"] == "us"


def test_identity_provenance_and_map_are_written(make_product: Maker) -> None:
    spectrum_map = DetectorSpectrumMap(np.array([1, 1], np.int32), np.array([7, 8], np.int32), 1)
    with opened(make_product(detector_spectrum_map=spectrum_map)) as file:
        entry = file["entry"]
        assert entry["start_time"].asstr()[()] == "2023-11-14T22:13:20.123456789Z"
        assert entry["end_time"].asstr()[()] == "2023-11-14T22:14:50.623456789Z"
        assert entry["provenance/program"].asstr()[()] == "runstart"
        assert entry["provenance/end_offsets/data"].asstr()[()] == '{"0": 17}'
        assert entry["detector_spectrum_map/detector_id"][()].tolist() == [7, 8]
        assert entry["proton_charge/total"][()] == pytest.approx(0.0123)


@pytest.mark.parametrize("text", ["a\0b", "\ud800", "日本", "", "x" * 100_000, "{not json"])
def test_any_text_can_be_a_name_or_a_reason(make_product: Maker, text: str) -> None:
    stored = read_product(nexus_bytes(make_product(5, run_name=text, provenance={"stop_reason": text})))
    assert len(stored.run_name) == len(text)


def test_a_run_that_goes_on_has_no_end(make_product: Maker) -> None:
    with opened(make_product(stop_time_ns=None)) as file:
        assert "end_time" not in file["entry"]


@pytest.mark.parametrize("time_ns", [2**64 * 1_000_000, -(2**70)])
def test_a_time_that_no_calendar_has_is_a_number(time_ns: int) -> None:
    assert iso_time(time_ns) == f"{time_ns} ns since 1970"


def test_damage_to_the_counts_is_an_alert_or_shows_in_the_digest(make_product: Maker) -> None:
    whole = nexus_bytes(make_product(500))
    digest = read_product(whole).digest
    for at in range(0, len(whole), len(whole) // 40):
        damaged = whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :]
        try:
            stored = read_product(damaged)
        except Alert:
            continue
        if stored.digest == stored.written_digest:  # the byte is in a title, or in unused space
            assert stored.digest == digest


@pytest.mark.parametrize("data", [b"", b"nothing", b"\x89HDF\r\n\x1a\n"])
def test_what_is_no_product_is_an_alert(data: bytes) -> None:
    with pytest.raises(Alert, match="Materialize the run again"):
        read_product(data)


def test_a_truncated_file_is_an_alert(make_product: Maker) -> None:
    data = nexus_bytes(make_product())
    with pytest.raises(Alert, match="cannot be read"):
        read_product(data[: len(data) // 2])


def test_widening_does_not_change_the_digest(make_product: Maker) -> None:
    product = make_product()
    narrow = content_digest(product.views, product.series, product.ledger)
    wide = Views(product.instrument)
    wide.load({n: t if n == "tof" else t.astype(np.uint64) for n, t in product.views.arrays().items()})
    assert wide.pixel.dtype == np.uint64
    assert content_digest(wide, product.series, product.ledger) == narrow


def test_the_digest_sees_name_shape_value_and_ledger() -> None:
    array = np.arange(6, dtype=np.int64)
    digests = {
        digest_arrays({"a": array}, {}),
        digest_arrays({"b": array}, {}),
        digest_arrays({"a": array.reshape(2, 3)}, {}),
        digest_arrays({"a": array + 1}, {}),
        digest_arrays({"a": array}, {"events": 1}),
        digest_arrays({"a": array}, {"events": 2}),
    }
    assert len(digests) == 6


def test_the_digest_takes_only_integers() -> None:
    with pytest.raises(TypeError, match="only integers"):
        digest_arrays({"a": np.zeros(2)}, {})


def log_of(name: str, n: int = 3, texts: bool = False) -> LogSeries:
    time_ns = 1_700_000_000_123_456_789 + np.arange(n, dtype=np.int64) * 1_500_000_001 - 7
    values = (
        tuple(f"état {k}" for k in range(n)) if texts else np.where(np.arange(n) == 1, np.nan, np.arange(n) / 3)
    )
    severity = np.where(np.arange(n) == 1, 4, 0).astype(np.int8)
    status = tuple("no answer" if k == 1 else "" for k in range(n))
    return LogSeries(name, time_ns, values, severity, "" if texts else "K", "SIM:T", status, thinned=n)


def test_logs_are_read_back_and_do_not_change_the_digest(make_product: Maker) -> None:
    names = ["temperature", "SE:T-1", "SE T 1", "se_t_1", "", "9", "x" * 200, "日本", "name", "a/b", ".."]
    logs = {name: log_of(name, n=1 + k, texts=k % 2 == 1) for k, name in enumerate(names)}
    stored = read_product(nexus_bytes(make_product(logs=logs)))
    assert stored.logs == logs
    assert stored.digest == stored.written_digest == read_product(nexus_bytes(make_product())).digest
    assert read_product(nexus_bytes(make_product())).logs == {}


def test_a_log_is_an_nxlog_with_units_and_seconds_since_the_start(make_product: Maker) -> None:
    with opened(make_product(logs={"SE:T/1": log_of("SE:T/1")})) as file:
        log = file["entry/logs/SE_T_1"]
        assert log.attrs["NX_class"] == "NXlog"
        assert log["value"].attrs["units"] == "K"
        assert log["time"][1] == pytest.approx(1.500000001 - 7e-9, abs=1e-9)
        assert log["time"].attrs["start"] == file["entry/start_time"].asstr()[()]
        assert log["alarm_severity"][()].tolist() == [0, 4, 0]
        assert log["source"].asstr()[()] == "SIM:T"
        assert log["name"].asstr()[()] == "SE:T/1"


@given(st.sets(st.text(max_size=80), max_size=30))
def test_names_of_logs_in_the_file_are_safe_and_different(names: set[str]) -> None:
    safe = safe_names(names)
    assert safe.keys() == names
    assert len({name.lower() for name in safe.values()}) == len(names)
    assert all(re.fullmatch("[A-Za-z][A-Za-z0-9_]*", name) for name in safe.values())
