"""Arrays of a script as da00 messages, read by the reference codec."""

from __future__ import annotations

import numpy as np
from streaming_data_types.dataarray_da00 import deserialise_da00

from runstart.events import encode
from runstart.scripts import Axis, NamedArray
from runstart.scripts.data_arrays import script_as_data_arrays

TIME_NS = 1_700_000_000_123_456_789


def test_arrays_of_a_script_have_their_axes_errors_and_titles() -> None:
    q = Axis("q", np.linspace(0, 1, 4), "1/angstrom")
    curve = NamedArray("i_of_q", np.array([3.0, 2.0, 1.0]), (q,), "1/cm", np.ones(3), True, "I(Q)")
    (message,) = script_as_data_arrays("SANS", "run-key", {"i_of_q": curve}, TIME_NS)
    assert (message.source_name, message.time_ns) == ("SANS/script/i_of_q", TIME_NS)
    signal, errors, axis = message.variables
    assert (signal.name, signal.axes, signal.unit, signal.label) == ("signal", ("q",), "1/cm", "I(Q)")
    assert signal.source == "run-key"
    assert (errors.name, errors.axes, errors.unit) == ("errors", ("q",), "1/cm")
    assert (axis.name, axis.axes, axis.unit) == ("q", ("q",), "1/angstrom")
    theirs = deserialise_da00(encode(message))
    for their, our in zip(theirs.data, message.variables, strict=True):
        np.testing.assert_array_equal(their.data, our.data, strict=True)


def test_axes_of_one_name_are_kept_apart() -> None:
    axes = [Axis("x", np.arange(2.0)), Axis("x", np.arange(3.0)), Axis("signal", np.arange(4.0))]
    array = NamedArray("cube", np.zeros((2, 3, 4)), axes)
    (message,) = script_as_data_arrays("SANS", "run-key", {"cube": array}, TIME_NS)
    assert message.variables[0].axes == ("x", "x_2", "signal_2")
    assert [len(variable.data) for variable in message.variables[1:]] == [2, 3, 4]
