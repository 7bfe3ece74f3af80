from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from payloads import valid_payloads
from streaming_data_types import (
    deserialise_6s4t,
    deserialise_ev42,
    deserialise_ev44,
    deserialise_pl72,
    serialise_6s4t,
    serialise_ev42,
    serialise_ev44,
    serialise_pl72,
)
from streaming_data_types.fbschemas.run_start_pl72.SpectraDetectorMapping import SpectraDetectorMapping
from streaming_data_types.run_start_pl72 import DetectorSpectrumMap as TheirMap

from runstart.events import (
    DetectorSpectrumMap,
    EventMessage,
    IsisData,
    MalformedMessage,
    RunStart,
    RunState,
    RunStop,
    decode,
    encode,
    encode_detector_spectrum_map,
    encode_ev42,
    encode_ev44,
    encode_run_start,
    encode_run_stop,
)

texts = st.text(max_size=20)
uint64s = st.integers(0, 2**64 - 1)
RUN_TEXTS = ("run_name", "instrument_name", "nexus_structure", "job_id", "broker", "service_id", "filename")
MORE_RUN_TEXTS = ("metadata", "control_topic")


def vectors(dtype, size):
    return hnp.arrays(dtype, size)


@st.composite
def maps(draw):
    size = draw(st.integers(0, 8))
    n_spectra = draw(st.integers(-(2**31), 2**31 - 1))
    return DetectorSpectrumMap(draw(vectors(np.int32, size)), draw(vectors(np.int32, size)), n_spectra)


@st.composite
def run_starts(draw, most_periods=2**32 - 1):
    return RunStart(
        start_time_ms=draw(uint64s),
        stop_time_ms=draw(uint64s),
        n_periods=draw(st.integers(1, most_periods)),
        detector_spectrum_map=draw(st.none() | maps()),
        **{name: draw(texts) for name in RUN_TEXTS + MORE_RUN_TEXTS},
    )


run_stops = st.builds(RunStop, uint64s, texts, texts, texts, texts)
isis_data = st.builds(
    IsisData, st.integers(0, 2**32 - 1), st.sampled_from(RunState), st.floats(width=32, allow_nan=False)
)


@st.composite
def ev42s(draw):
    size = draw(st.integers(0, 12))
    return EventMessage(
        "ev42",
        draw(texts),
        draw(uint64s),
        np.array([draw(st.integers(0, 2**63 - 1))], np.int64),
        np.array([0], np.int32),
        draw(vectors(np.uint32, size)),
        draw(st.none() | vectors(np.uint32, size)),
        draw(st.none() | isis_data),
    )


@st.composite
def ev44s(draw):
    n_pulses = draw(st.integers(0, 80))
    size = draw(st.integers(0, 12)) if n_pulses else 0
    indices = sorted(draw(st.lists(st.integers(0, size), min_size=n_pulses, max_size=n_pulses)))
    return EventMessage(
        "ev44",
        draw(texts),
        draw(st.integers(-(2**63), 2**63 - 1)),
        draw(vectors(np.int64, n_pulses)),
        np.array([0, *indices[1:]][:n_pulses], np.int32),
        draw(vectors(np.int32, size)),
        draw(st.none() | vectors(np.int32, size)),
    )


@given(run_starts() | run_stops | maps() | ev42s() | ev44s())
def test_decoding_what_was_encoded_gives_an_equal_message(message):
    assert decode(encode(message)) == message


@given(run_starts())
def test_reference_codec_reads_our_run_start(message):
    theirs = deserialise_pl72(encode_run_start(message))
    assert (theirs.start_time, theirs.stop_time) == (message.start_time_ms, message.stop_time_ms)
    for name in RUN_TEXTS + MORE_RUN_TEXTS:
        assert getattr(theirs, name) == getattr(message, name)
    mapping = message.detector_spectrum_map
    assert (theirs.detector_spectrum_map is None) == (mapping is None)
    if mapping is not None:
        assert np.array_equal(theirs.detector_spectrum_map.spectrum_numbers, mapping.spectrum)
        assert np.array_equal(theirs.detector_spectrum_map.detector_ids, mapping.detector_id)
        assert theirs.detector_spectrum_map.n_spectra == mapping.n_spectra


@given(run_starts(most_periods=1))
def test_run_start_of_the_reference_codec_is_read(message):
    mapping = message.detector_spectrum_map
    theirs = None if mapping is None else TheirMap(mapping.spectrum, mapping.detector_id, mapping.n_spectra)
    payload = serialise_pl72(
        start_time=message.start_time_ms,
        stop_time=message.stop_time_ms,
        detector_spectrum_map=theirs,
        **{name: getattr(message, name) for name in RUN_TEXTS + MORE_RUN_TEXTS},
    )
    assert decode(payload) == message


@given(run_stops)
def test_reference_codec_reads_our_run_stop(message):
    theirs = deserialise_6s4t(encode_run_stop(message))
    assert (theirs.stop_time, theirs.run_name) == (message.stop_time_ms, message.run_name)
    assert theirs.job_id == message.job_id
    assert (theirs.service_id, theirs.command_id) == (message.service_id, message.command_id)


@given(run_stops)
def test_run_stop_of_the_reference_codec_is_read(message):
    payload = serialise_6s4t(
        message.job_id, message.run_name, message.service_id, message.command_id, message.stop_time_ms
    )
    assert decode(payload) == message


@given(maps())
def test_reference_tables_read_our_detector_spectrum_map(message):
    # That package has df12 as a part of pl72 only.
    theirs = SpectraDetectorMapping.GetRootAsSpectraDetectorMapping(encode_detector_spectrum_map(message), 0)
    assert np.array_equal(theirs.SpectrumAsNumpy(), message.spectrum)
    assert np.array_equal(theirs.DetectorIdAsNumpy(), message.detector_id)
    assert theirs.NSpectra() == message.n_spectra


@given(ev42s())
def test_reference_codec_reads_our_ev42(message):
    theirs = deserialise_ev42(encode(message))
    assert (theirs.source_name, theirs.message_id) == (message.source_name, message.message_id)
    assert theirs.pulse_time == message.pulse_time_ns[0]
    assert np.array_equal(theirs.time_of_flight, message.time_of_flight_ns)
    # A vector that was left out is the number 0 there.
    assert np.array_equal(theirs.detector_id, 0 if message.detector_id is None else message.detector_id)
    if message.facility is None:
        assert theirs.specific_data is None
    else:
        assert IsisData(**theirs.specific_data) == message.facility


@given(ev42s())
def test_ev42_of_the_reference_codec_is_read(message):
    facility = message.facility
    payload = serialise_ev42(
        message.source_name,
        message.message_id,
        int(message.pulse_time_ns[0]),
        message.time_of_flight_ns,
        [] if message.detector_id is None else message.detector_id,
        None
        if facility is None
        else {
            "period_number": facility.period_number,
            "run_state": facility.run_state,
            "proton_charge": facility.proton_charge,
        },
    )
    found = decode(payload)
    if message.n_events:
        assert found == message
    else:
        assert found.detector_id.size == 0
        assert (found.source_name, found.facility) == (message.source_name, facility)


@given(ev44s())
def test_reference_codec_reads_our_ev44(message):
    theirs = deserialise_ev44(encode(message))
    assert (theirs.source_name, theirs.message_id) == (message.source_name, message.message_id)
    assert np.array_equal(theirs.reference_time, message.pulse_time_ns)
    assert np.array_equal(theirs.reference_time_index, message.pulse_index)
    assert np.array_equal(theirs.time_of_flight, message.time_of_flight_ns)
    assert np.array_equal(theirs.pixel_id, 0 if message.detector_id is None else message.detector_id)


@given(ev44s())
def test_ev44_of_the_reference_codec_is_read(message):
    payload = serialise_ev44(
        message.source_name,
        message.message_id,
        message.pulse_time_ns,
        message.pulse_index,
        message.time_of_flight_ns,
        [] if message.detector_id is None else message.detector_id,
    )
    found = decode(payload)
    if message.n_events:
        assert found == message
    else:
        assert found.detector_id.size == 0
        assert np.array_equal(found.pulse_time_ns, message.pulse_time_ns)


def test_arrays_of_other_integer_types_are_converted_if_they_fit():
    message = decode(encode_ev44("s", 1, np.array([3], np.uint16), [0], np.array([7], ">u8"), detector_id=[9]))
    assert (message.time_of_flight_ns.dtype, message.time_of_flight_ns.tolist()) == (np.int32, [7])


@pytest.mark.parametrize(
    "encode_it",
    [
        lambda: encode_ev42("s", -1, 5, []),
        lambda: encode_ev42("s", 2**64, 5, []),
        lambda: encode_ev42("s", 1, 2**63, []),
        lambda: encode_ev42("s", 1, -1, []),
        lambda: encode_ev42("s", 1, 5, [-1]),
        lambda: encode_ev42("s", 1, 5, [2**32]),
        lambda: encode_ev42("s", 1, 5, [0.5]),
        lambda: encode_ev42("s", 1, 5, [[1]]),
        lambda: encode_ev42("s", 1, 5, [1, 2], detector_id=[1]),
        lambda: encode_ev42("\ud800", 1, 5, []),
        lambda: encode_ev42("s", 1, 5, [], facility=IsisData(-1)),
        lambda: encode_ev44("s", 1, [5], [0], [2**31]),
        lambda: encode_ev44("s", 1, [5], [1], [1]),
        lambda: encode_ev44("s", 1, [], [], [1]),
        lambda: encode_ev44("s", 1, [5, 6], [0, 2], [1]),
        lambda: encode_run_start(RunStart(5, n_periods=0)),
        lambda: encode_run_start(RunStart(-5)),
        lambda: encode_run_stop(RunStop(2**64)),
        lambda: encode_detector_spectrum_map(DetectorSpectrumMap(np.arange(2), np.arange(3), 1)),
    ],
)
def test_message_that_breaks_a_rule_is_not_encoded(encode_it):
    with pytest.raises(MalformedMessage):
        encode_it()


def test_message_that_its_schema_cannot_hold_is_not_encoded():
    ev44 = decode(dict(valid_payloads())["ev44 of four pulses"])
    fields = {name: getattr(ev44, name) for name in ev44.__slots__}
    with pytest.raises(MalformedMessage):
        encode(EventMessage(**{**fields, "schema": "ev42"}))
    with pytest.raises(MalformedMessage):
        encode(EventMessage(**{**fields, "facility": IsisData(1)}))
