from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runstart.sessions.tracking import Latencies

WAY = [
    {"id": "source", "time_before_operate": 10.0, "time_after_operate": 10.002},
    {"id": "source", "time_before_send": 10.003},
    {"id": "work", "time_after_header_validate": 10.013},
    {"id": "work", "time_before_operate": 10.014, "time_after_operate": 10.114},
    {"id": "work", "time_before_send": 10.115},
    {
        "id": "sink",
        "time_after_header_validate": 10.120,
        "time_before_operate": 10.120,
        "time_after_operate": 10.121,
    },
]


def test_hops_and_operators_have_the_times_between_their_entries() -> None:
    latencies = Latencies()
    latencies.take(WAY)

    assert latencies.as_dict() == {
        "source": pytest.approx(2, abs=0.01),
        "source -> work": pytest.approx(10, abs=0.01),
        "work": pytest.approx(100, abs=0.01),
        "work -> sink": pytest.approx(5, abs=0.01),
        "sink": pytest.approx(1, abs=0.01),
    }


def test_newest_messages_count_by_their_median() -> None:
    latencies = Latencies()
    for seconds in [9.0] * 100 + [0.001] * 60 + [5.0] * 4:
        latencies.take([{"id": "a", "time_before_operate": 0.0, "time_after_operate": seconds}])

    assert latencies.as_dict() == {"a": 1.0}


def test_clock_that_was_set_back_gives_no_negative_time() -> None:
    latencies = Latencies()
    latencies.take([{"id": "a", "time_before_send": 5.0}, {"id": "b", "time_after_header_validate": 4.0}])

    assert latencies.as_dict() == {"a -> b": 0.0}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["id", "time_before_send", "x"]), inner),
)


@given(JSON)
def test_whatever_an_operator_sends_harms_nobody(entries: object) -> None:
    latencies = Latencies()
    latencies.take(entries)

    json.dumps(latencies.as_dict(), allow_nan=False)
