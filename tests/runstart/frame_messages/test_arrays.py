"""Arrays as messages."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from runstart.errors import Alert
from runstart.frame_messages import array_message, is_array, read_array
from runstart.operators import BytesMessage, MessageHeader

DTYPES = st.sampled_from([">f4", "<f8", "u2", ">i4", "bool", "i1"])


@given(hnp.arrays(DTYPES, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5)))
def test_an_array_is_read_back_with_what_is_said_about_it(array: np.ndarray) -> None:
    message = array_message(array.T, {"content": "x"})
    assert isinstance(message.header.meta, dict)
    as_text = BytesMessage(MessageHeader(meta=json.dumps(message.header.meta).encode()), message.data)
    for one in (message, as_text):
        found, meta = read_array(one)
        assert is_array(one)
        assert found.shape == array.T.shape
        assert np.array_equal(found, array.T, equal_nan=array.dtype.kind == "f")
        assert meta["content"] == "x"


@pytest.mark.parametrize(
    ("meta", "told"),
    [
        ({}, "no shape and dtype"),
        (b"\xff", "no shape and dtype"),
        (b"[1]", "no shape and dtype"),
        ({"shape": [2, -1], "dtype": "u1"}, "shape .* cannot be"),
        ({"shape": "4", "dtype": "u1"}, "shape 4 of the array cannot be"),
        ({"shape": [True], "dtype": "u1"}, "shape .* cannot be"),
        ({"shape": [4], "dtype": "rubbish"}, "dtype 'rubbish' of the array is none"),
        ({"shape": [4], "dtype": "object"}, "which is no number"),
        ({"shape": [2], "dtype": "complex64"}, "which is no number"),
        ({"shape": [3], "dtype": "u1"}, "3 of uint8 needs 3 bytes, but the message has 4"),
        ({"shape": [2**40, 2**40], "dtype": "f8"}, "needs"),
    ],
)
def test_what_is_no_array_is_refused(meta: Any, told: str) -> None:
    with pytest.raises(Alert, match=told):
        read_array(BytesMessage(MessageHeader(meta=meta), b"1234"))
