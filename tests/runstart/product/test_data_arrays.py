"""What subscribers get is what was counted, with axes that fit, readable by the reference codec."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from streaming_data_types.dataarray_da00 import deserialise_da00

from runstart.events import DataArrayMessage, Variable, encode
from runstart.product import RunProduct
from runstart.product.data_arrays import views_as_data_arrays

Maker = Callable[..., RunProduct]
TIME_NS = 1_700_000_100_000_000_007


def variables_of(message: DataArrayMessage) -> dict[str, Variable]:
    return {variable.name: variable for variable in message.variables}


@pytest.mark.parametrize("n_periods", [1, 3])
@pytest.mark.parametrize("n_events", [0, 2000])
def test_counts_are_those_of_the_views(make_product: Maker, n_events: int, n_periods: int) -> None:
    product = make_product(n_events, n_periods)
    messages = views_as_data_arrays(product, TIME_NS)
    assert [message.source_name for message in messages] == ["TEST/tof", "TEST/bank_rear", "TEST/bank_name"]
    views = product.views
    for message, expected in zip(messages, [views.tof, views.bank_image(0), views.bank_image(1)], strict=True):
        signal = variables_of(message)["signal"]
        assert isinstance(signal.data, np.ndarray)
        np.testing.assert_array_equal(signal.data, expected if n_periods > 1 else expected[0])
        assert (message.time_ns, signal.unit, signal.source) == (TIME_NS, "counts", product.partition_key)
        for name, length in zip(signal.axes, signal.data.shape, strict=True):
            axis = variables_of(message)[name]
            assert axis.axes == (name,)
            assert len(axis.data) == length + (name == "time_of_flight")


def test_edges_are_those_of_the_axis_in_microseconds(make_product: Maker) -> None:
    (tof, *_) = views_as_data_arrays(make_product(), TIME_NS)
    edges = variables_of(tof)["time_of_flight"]
    np.testing.assert_array_equal(edges.data, np.linspace(1, 101, 51))
    assert edges.unit == "us"


def test_bank_of_one_dimension_has_its_detector_ids(make_product: Maker) -> None:
    message = views_as_data_arrays(make_product(), TIME_NS)[-1]
    np.testing.assert_array_equal(variables_of(message)["detector_number"].data, np.arange(500, 508))


def test_instrument_without_images_publishes_its_spectrum_alone(make_product: Maker) -> None:
    product = make_product()
    instrument = product.instrument.model_copy(update={"views": ("tof", "pixel")})
    messages = views_as_data_arrays(make_product(instrument=instrument), TIME_NS)
    assert [message.source_name for message in messages] == ["TEST/tof"]


@pytest.mark.parametrize("n_periods", [1, 2])
def test_reference_codec_reads_every_view(make_product: Maker, n_periods: int) -> None:
    for message in views_as_data_arrays(make_product(2000, n_periods), TIME_NS):
        theirs = deserialise_da00(encode(message))
        assert (theirs.source_name, theirs.timestamp_ns) == (message.source_name, TIME_NS)
        for their, our in zip(theirs.data, message.variables, strict=True):
            assert (their.name, tuple(their.axes), their.unit) == (our.name, our.axes, our.unit)
            np.testing.assert_array_equal(their.data, our.data, strict=True)
