from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from runstart.instruments import Bank, Instrument, TofAxis, Topics

BANK = Bank(name="rear", shape=(4, 3), first_detector_id=10)
TOF = TofAxis(start_us=0, stop_us=100_000, bins=1000)


@st.composite
def tof_axes(draw: st.DrawFn) -> TofAxis:
    bins = draw(st.integers(1, 5000))
    width_ns = draw(st.integers(1, 2_147_483_647 // bins))
    start_ns = draw(st.integers(0, 2_147_483_647 - bins * width_ns))
    return TofAxis(start_us=start_ns / 1000, stop_us=(start_ns + bins * width_ns) / 1000, bins=bins)


@given(tof_axes())
def test_edges_are_equally_spaced_whole_nanoseconds_from_start_to_stop(axis: TofAxis) -> None:
    edges = axis.edges_ns()
    assert edges.dtype == np.int64
    assert edges.shape == (axis.bins + 1,)
    assert (edges[0], edges[-1]) == (axis.start_ns, axis.stop_ns)
    assert np.all(np.diff(edges) == axis.width_ns)


@given(st.integers(0, 2_147_483_647))
def test_every_nanosecond_can_be_written_in_microseconds(nanoseconds: int) -> None:
    if nanoseconds:
        assert TofAxis(start_us=0, stop_us=nanoseconds / 1000, bins=1).stop_ns == nanoseconds


@given(st.integers(1, 10**9), st.integers(1, 10**5))
def test_a_width_that_is_not_whole_is_refused_with_values_that_fit(span_ns: int, bins: int) -> None:
    try:
        TofAxis(start_us=0, stop_us=span_ns / 1000, bins=bins)
    except ValidationError as error:
        text = error.errors()[0]["msg"]
        proposed_bins = int(text.split("bins = ")[1].split(",")[0])
        proposed_stop_us = float(text.split("stop_us = ")[1])
        assert TofAxis(start_us=0, stop_us=span_ns / 1000, bins=proposed_bins)
        assert abs(TofAxis(start_us=0, stop_us=proposed_stop_us, bins=bins).stop_ns - span_ns) <= max(
            bins // 2, bins - span_ns
        )
    else:
        assert span_ns % bins == 0


@pytest.mark.parametrize(
    ("changes", "proposal"),
    [
        ({"stop_us": 2_147_483.648}, "2147483.647"),
        ({"start_us": -1.0}, "0"),
        ({"stop_us": 100.0004}, "100"),
        ({"start_us": 100_000}, "stop_us"),
        ({"stop_us": math.inf}, "finite"),
        ({"bins": 0}, "greater than or equal to 1"),
        ({"bins": True}, "integer"),
        ({"bins": "500"}, "integer"),
    ],
)
def test_an_axis_that_cannot_be_is_refused(changes: dict[str, object], proposal: str) -> None:
    with pytest.raises(ValidationError, match=proposal):
        TofAxis.model_validate({"start_us": 0, "stop_us": 100_000, "bins": 1000, **changes})


def test_topics_default_to_the_instruments_name() -> None:
    instrument = Instrument(name="LOKI", banks=(BANK,), tof=TOF)
    assert instrument.topics == Topics(events="LOKI_events", run_info="LOKI_runInfo", sample_env="LOKI_sampleEnv")


def test_topics_that_are_not_given_keep_their_defaults() -> None:
    instrument = Instrument.model_validate(
        {"name": "LOKI", "banks": [BANK], "tof": TOF, "topics": {"run_info": "control"}}
    )
    assert (instrument.topics.events, instrument.topics.run_info) == ("LOKI_events", "control")


@given(st.from_regex(r"[A-Za-z0-9._-]{1,249}", fullmatch=True))
def test_kafkas_topic_names_are_taken(name: str) -> None:
    if name not in (".", "..", "b", "c"):
        assert Topics(events=name, run_info="b", sample_env="c").events == name


@pytest.mark.parametrize("name", ["", ".", "..", "a" * 250, "a b", "a/b", "ä", "a\n"])
def test_other_topic_names_are_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="Kafka topic name"):
        Topics(events=name, run_info="b", sample_env="c")


def test_one_topic_for_two_purposes_is_refused() -> None:
    with pytest.raises(ValidationError, match="different topics"):
        Topics(events="a", run_info="a", sample_env="c")


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 6), st.integers(1, 6)), min_size=2, max_size=5))
def test_banks_are_taken_exactly_if_no_two_share_a_detector_id(layout: list[tuple[int, int, int]]) -> None:
    banks = tuple(
        Bank(name=f"b{number}", shape=(rows, columns), first_detector_id=first)
        for number, (first, rows, columns) in enumerate(layout)
    )
    ids = [
        detector_id
        for bank in banks
        for detector_id in range(bank.first_detector_id, bank.first_detector_id + bank.size)
    ]
    if len(set(ids)) == len(ids):
        assert Instrument(name="A", banks=banks, tof=TOF).pixel_count == len(ids)
    else:
        with pytest.raises(ValidationError, match="begin at"):
            Instrument(name="A", banks=banks, tof=TOF)


@pytest.mark.parametrize("name", ["", "2D", "a-b", "a b", "a/b", "ä", "a" * 64, "a\n"])
def test_names_that_files_and_topics_cannot_carry_are_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        Instrument(name=name, banks=(BANK,), tof=TOF)


@pytest.mark.parametrize(
    "bank",
    [
        {"shape": (), "first_detector_id": 0},
        {"shape": (1, 2, 3), "first_detector_id": 0},
        {"shape": (0,), "first_detector_id": 0},
        {"shape": (2,), "first_detector_id": -1},
        {"shape": (2,), "first_detector_id": 4_294_967_295},
        {"shape": (2.0,), "first_detector_id": 0},
    ],
)
def test_banks_that_cannot_be_are_refused(bank: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Bank.model_validate({"name": "rear", **bank})


@pytest.mark.parametrize("field", ["snapshot_interval", "display_interval"])
@pytest.mark.parametrize("seconds", [0, -1, math.nan, math.inf, 86_401, True, "5"])
def test_intervals_are_positive_seconds(field: str, seconds: object) -> None:
    with pytest.raises(ValidationError):
        Instrument.model_validate({"name": "A", "banks": [BANK], "tof": TOF, field: seconds})


@pytest.mark.parametrize("field", ["grace", "hold_back", "seek_margin"])
def test_delays_may_be_none_at_all(field: str) -> None:
    instrument = Instrument.model_validate({"name": "A", "banks": [BANK], "tof": TOF, field: 0})
    assert getattr(instrument, field) == 0


@given(st.integers(1, 64), st.integers(1, 100), st.integers(1, 20), st.booleans())
def test_memory_is_that_of_the_arrays(pixels: int, bins: int, periods: int, pixel_tof: bool) -> None:
    instrument = Instrument(
        name="A",
        banks=(Bank(name="b", shape=(pixels,), first_detector_id=0),),
        tof=TofAxis(start_us=0, stop_us=bins, bins=bins),
        views=("tof", "pixel", "pixel_tof") if pixel_tof else ("tof",),
    )
    arrays = [np.empty((periods, bins), np.int64), np.empty((periods, pixels), np.uint32)]
    if pixel_tof:
        arrays.append(np.empty((periods, pixels, bins), np.uint32))
    assert instrument.memory_bytes(periods) == sum(array.nbytes for array in arrays)


def test_views_that_do_not_fit_the_memory_are_refused_even_if_no_limit_is_given() -> None:
    bank = Bank(name="b", shape=(1000, 1000), first_detector_id=0)
    with pytest.raises(ValidationError, match="max_memory_mb = 4005 or more"):
        Instrument(name="A", banks=(bank,), tof=TOF, views=("pixel_tof",))
    assert Instrument(name="A", banks=(bank,), tof=TOF, views=("pixel_tof",), max_memory_mb=4005)


def test_an_instrument_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        BANK.name = "front"  # type: ignore[misc]
