from __future__ import annotations

import json
import re

import numpy as np
import pytest
from facility_kit import START_MS, announce, run_record
from hypothesis import given
from hypothesis import strategies as st

from runstart.errors import Alert
from runstart.events import DetectorSpectrumMap, RunStart
from runstart.live import load_record, make_record, name_partition, refusal, save_record
from runstart.live.record import LATEST_TIME_MS, run_prefix
from runstart.storage import FileStore, check_key

DAY_MS = 86_400_000
names = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=200),
    st.text("ab.-_+/\\ ", max_size=8),
    st.sampled_from(
        ["", ".", "..", "../../etc/passwd", "a" * 10_000, "\0", "unnamed", "-", "__", "SANS2D00001234"]
    ),
)


@given(names, st.integers(946_684_800_000, LATEST_TIME_MS - 1))
def test_a_partition_key_is_safe_whatever_the_run_is_named(name: str, start_ms: int) -> None:
    key = name_partition(name, start_ms)
    assert re.fullmatch(r"[A-Za-z0-9+][A-Za-z0-9._+-]{0,110}", key)
    assert not key.endswith((".", "-"))
    assert check_key(key) == key


@given(names, names, st.integers(0, 3), st.integers(0, 3))
def test_two_runs_never_share_a_key(one: str, other: str, first: int, second: int) -> None:
    same_run = (one, first) == (other, second)
    assert (name_partition(one, START_MS + first) == name_partition(other, START_MS + second)) == same_run


def test_a_plain_run_number_stays_readable_in_the_key() -> None:
    assert name_partition("SANS2D00042", START_MS) == "20231114T221320.000Z_SANS2D00042"


@pytest.mark.parametrize(
    ("start", "timestamp_ms", "why"),
    [
        ({"start_time_ms": 0}, START_MS, "2000"),
        ({"start_time_ms": START_MS // 1000}, START_MS, "not in ms"),
        ({"start_time_ms": START_MS + DAY_MS + 1}, START_MS, "over a day"),
        ({"start_time_ms": START_MS * 1000}, START_MS * 1000, "2199"),
        ({"start_time_ms": 2**64 - 1}, 2**63 - 1, "2199"),
        ({"n_periods": 4097}, START_MS, "periods"),
    ],
)
def test_a_run_start_that_cannot_be_a_run_is_refused_with_the_reason(start, timestamp_ms: int, why: str) -> None:
    message = RunStart(**({"start_time_ms": START_MS} | start))
    found = refusal(message, timestamp_ms)
    assert found is not None
    assert why in found


@pytest.mark.parametrize("start_ms", [946_684_800_000, START_MS - DAY_MS * 365, START_MS, START_MS + DAY_MS])
def test_a_run_start_is_accepted_with_any_clock_that_may_be_right(start_ms: int) -> None:
    assert refusal(RunStart(start_ms), START_MS) is None


@given(st.integers(0, 2**64 - 1), st.integers(-1, 2**63 - 1), st.integers(1, 2**32 - 1))
def test_whatever_is_not_refused_has_a_key_and_times_that_fit_64_bits(start: int, stamp: int, periods: int) -> None:
    message = RunStart(start, run_name="r", n_periods=periods, stop_time_ms=2**64 - 1)
    if refusal(message, stamp) is None:
        record = make_record("SMALL", announce(message, timestamp_ms=stamp), message)
        assert record.start_time_ns < 2**63
        assert record.planned_stop_ns is None
        check_key(record.partition_key)


@pytest.mark.parametrize(
    ("stop_ms", "planned"), [(0, False), (START_MS, False), (START_MS + 1, True), (2**60, False)]
)
def test_a_planned_stop_is_one_after_the_start(stop_ms: int, planned: bool) -> None:
    assert (run_record(stop_time_ms=stop_ms).planned_stop_ns is not None) == planned


def test_a_record_survives_the_store(file_store: FileStore) -> None:
    spectra = DetectorSpectrumMap(np.arange(3, dtype=np.int32), np.arange(3, dtype=np.int32), 3)
    record = run_record(
        run_name="../Å\n", n_periods=3, job_id="j", metadata="{}", detector_spectrum_map=spectra, timestamp_ms=5
    )
    save_record(file_store, record)
    assert load_record(file_store, "SMALL", record.partition_key) == record


def test_a_record_of_a_newer_version_is_read_and_one_that_lacks_a_field_is_an_alert(file_store: FileStore) -> None:
    record = run_record()
    key = f"{run_prefix('SMALL', record.partition_key)}/run_start.json"
    save_record(file_store, record)
    fields = json.loads(file_store.get(key).data)
    file_store.put(key, json.dumps(fields | {"colour": "red"}).encode())
    assert load_record(file_store, "SMALL", record.partition_key) == record
    del fields["topic"]
    file_store.put(key, json.dumps(fields).encode())
    with pytest.raises(Alert, match="has no topic"):
        load_record(file_store, "SMALL", record.partition_key)


def test_a_run_start_announced_again_leaves_the_first_record(file_store: FileStore) -> None:
    save_record(file_store, run_record(n_periods=1))
    save_record(file_store, run_record(n_periods=2))
    key = run_record().partition_key
    assert load_record(file_store, "SMALL", key).start.n_periods == 1


def test_a_run_that_was_never_announced_is_an_alert(file_store: FileStore) -> None:
    with pytest.raises(Alert, match="No RunStart was recorded"):
        load_record(file_store, "SMALL", "20231114T221320.000Z_run")
