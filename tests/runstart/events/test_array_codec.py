"""Arrays with axes and histograms: what we write others read, what others write we read."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from streaming_data_types import deserialise_hs00, deserialise_hs01, serialise_hs00, serialise_hs01
from streaming_data_types.dataarray_da00 import Variable as TheirVariable
from streaming_data_types.dataarray_da00 import deserialise_da00, serialise_da00

from runstart.events import (
    DataArrayMessage,
    HistogramAxis,
    HistogramMessage,
    MalformedMessage,
    Variable,
    decode,
    encode,
)

NUMBERS = [np.dtype(f"<{code}") for code in ("i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8")]
HISTOGRAM_NUMBERS = {"hs00": ["<u4", "<u8", "<f4", "<f8"], "hs01": ["<i4", "<i8", "<f4", "<f8"]}
CODECS = {"hs00": (serialise_hs00, deserialise_hs00), "hs01": (serialise_hs01, deserialise_hs01)}

texts = st.text(max_size=20)
some_texts = st.none() | texts
int64s = st.integers(-(2**63), 2**63 - 1)
shapes = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
arrays = st.tuples(st.sampled_from(NUMBERS), shapes).flatmap(lambda of: hnp.arrays(*of))


@st.composite
def variables(draw, some_dimensions=0):
    data = draw(arrays.filter(lambda array: array.ndim >= some_dimensions))
    axes = draw(st.tuples(*[texts] * data.ndim)) if data.ndim and (some_dimensions or draw(st.booleans())) else ()
    return Variable(draw(texts), data, axes, draw(some_texts), draw(some_texts), draw(some_texts))


text_variables = st.builds(Variable, texts, texts)


def messages(of):
    return st.builds(DataArrayMessage, texts, int64s, st.lists(of, min_size=1, max_size=4).map(tuple))


@st.composite
def histograms(draw):
    schema = draw(st.sampled_from(["hs00", "hs01"]))
    dtypes = st.sampled_from(HISTOGRAM_NUMBERS[schema]).map(np.dtype)
    shape = draw(hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=4))
    times = st.integers(0, 2**63 - 1) if schema == "hs00" else int64s
    axes = [
        HistogramAxis(length, draw(hnp.arrays(draw(dtypes), length + 1)), draw(texts), draw(texts))
        for length in shape
    ]
    return HistogramMessage(
        schema,
        draw(texts),
        draw(times),
        tuple(axes),
        draw(hnp.arrays(draw(dtypes), shape)),
        draw(st.none() | hnp.arrays(draw(dtypes), shape)),
        draw(st.none() | st.tuples(*[st.integers(0, 2**31 - 1)] * len(shape))),
        draw(times),
        draw(texts),
    )


@given(messages(variables() | text_variables) | histograms())
def test_decoding_what_was_encoded_gives_an_equal_message(message):
    assert decode(encode(message)) == message


@given(messages(variables(some_dimensions=1)))
def test_data_arrays_are_the_same_to_the_reference_codec_both_ways(message):
    theirs = deserialise_da00(encode(message))
    assert (theirs.source_name, theirs.timestamp_ns) == (message.source_name, message.time_ns)
    for their, our in zip(theirs.data, message.variables, strict=True):
        assert (their.name, tuple(their.axes), their.unit) == (our.name, our.axes, our.unit)
        assert (their.label, their.source) == (our.label, our.source)
        np.testing.assert_array_equal(their.data, our.data, strict=True)
    assert decode(serialise_da00(message.source_name, message.time_ns, theirs.data)) == message


@given(st.integers(-(2**63), 2**63 - 1) | st.floats() | texts)
def test_single_values_are_the_same_to_the_reference_codec_both_ways(value):
    (ours,) = decode(serialise_da00("s", 5, [TheirVariable("v", value)])).variables
    if isinstance(value, str):
        assert ours.data == value
    else:
        assert ours.data.shape == ()
        np.testing.assert_array_equal(ours.data, value)
    (theirs,) = deserialise_da00(encode(DataArrayMessage("s", 5, (ours,)))).data
    np.testing.assert_array_equal(theirs.data, value)


@pytest.mark.parametrize("dtype", NUMBERS, ids=str)
def test_vector_without_axes_of_the_reference_codec_is_read(dtype):
    for n_items in (0, 2, 8, 16):
        values = np.arange(n_items).astype(dtype)
        (ours,) = decode(serialise_da00("s", 5, [TheirVariable("v", values)])).variables
        np.testing.assert_array_equal(ours.data, values, strict=True)


@given(histograms())
def test_reference_codec_reads_our_histogram(message):
    theirs = CODECS[message.schema][1](encode(message))
    assert (theirs["source"], theirs["timestamp"]) == (message.source_name, message.time_ns)
    assert (theirs["info"], theirs["last_metadata_timestamp"]) == (message.info, message.metadata_time_ns)
    np.testing.assert_array_equal(theirs["data"], message.counts, strict=True)
    np.testing.assert_array_equal(theirs["errors"], [] if message.errors is None else message.errors)
    for their, our in zip(theirs["dim_metadata"], message.axes, strict=True):
        assert (their["length"], their["unit"], their["label"]) == (our.length, our.unit, our.label)
        np.testing.assert_array_equal(their["bin_boundaries"], our.edges, strict=True)


@given(histograms().filter(lambda message: message.offset is None))
def test_histogram_of_the_reference_codec_is_read(message):
    histogram = {
        "source": message.source_name,
        "timestamp": message.time_ns,
        "current_shape": list(message.counts.shape),
        "dim_metadata": [
            {"length": axis.length, "bin_boundaries": axis.edges, "unit": axis.unit, "label": axis.label}
            for axis in message.axes
        ],
        "data": message.counts,
        "last_metadata_timestamp": message.metadata_time_ns,
        "info": message.info,
    }
    if message.errors is not None:
        histogram["errors"] = message.errors
    assert decode(CODECS[message.schema][0](histogram)) == message


@pytest.mark.parametrize(
    "message",
    [
        DataArrayMessage("s", 5, ()),
        DataArrayMessage("s", 2**63, (Variable("v", np.zeros(1)),)),
        DataArrayMessage("s", 5, (Variable("v", np.zeros(1), ("x", "y")),)),
        DataArrayMessage("s", 5, (Variable("v", np.zeros((1, 2)), ("x",)),)),
        DataArrayMessage("s", 5, (Variable("v", np.zeros(1, bool)),)),
        DataArrayMessage("s", 5, (Variable("v", "text", ("x",)),)),
        DataArrayMessage("s", 5, (Variable("v", "\ud800"),)),
        HistogramMessage("hs00", "s", 5, (), np.zeros(())),
        HistogramMessage("hs00", "s", -1, (HistogramAxis(1),), np.zeros(1)),
        HistogramMessage("hs00", "s", 5, (HistogramAxis(1),), np.zeros(1, np.int64)),
        HistogramMessage("hs01", "s", 5, (HistogramAxis(1),), np.zeros(1, np.uint64)),
        HistogramMessage("hs01", "s", 5, (HistogramAxis(1),), np.zeros((1, 1))),
        HistogramMessage("hs01", "s", 5, (HistogramAxis(1),), np.zeros(1), np.zeros(2)),
        HistogramMessage("hs01", "s", 5, (HistogramAxis(1, np.zeros(1)),), np.zeros(1)),
        HistogramMessage("hs01", "s", 5, (HistogramAxis(-1),), np.zeros(0)),
        HistogramMessage("hs01", "s", 5, (HistogramAxis(1),), np.zeros(1), None, (0, 0)),
    ],
    ids=range(16),
)
def test_message_that_breaks_a_rule_is_not_encoded(message):
    with pytest.raises(MalformedMessage):
        encode(message)


def test_array_of_a_slice_is_sent_as_it_looks():
    table = np.arange(12, dtype=">u4").reshape(3, 4)[:, ::2]
    (found,) = decode(encode(DataArrayMessage("s", 5, (Variable("v", table, ("x", "y")),)))).variables
    assert found.data.tolist() == table.tolist()


def test_shared_axes_and_names_are_read_for_all_who_share_them():
    # As builders with shared strings write them: one piece, many that lead to it.
    signal = Variable("signal", np.zeros(3), ("time_of_flight",), "counts")
    message = DataArrayMessage("s", 5, (signal,) * 50)
    assert decode(encode(message)) == message
