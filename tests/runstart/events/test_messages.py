from __future__ import annotations

import copy
import pickle
from dataclasses import replace

import numpy as np
import pytest
from payloads import valid_payloads

from runstart.events import ForeignMessage, MalformedMessage, decode

VALID = dict(valid_payloads())


@pytest.mark.parametrize("payload", VALID.values(), ids=VALID)
def test_message_survives_pickling_and_copying(payload):
    message = decode(payload)
    assert pickle.loads(pickle.dumps(message)) == message  # noqa: S301
    assert copy.deepcopy(message) == message


@pytest.mark.parametrize("name", ["ev42", "ev44", "df12"])
def test_messages_differ_if_one_item_or_its_type_differs(name):
    message = decode(VALID[name])
    other = message.detector_id.copy()
    other[-1] += 1
    assert message != replace(message, detector_id=other)
    assert message != replace(message, detector_id=message.detector_id.astype(np.int64))
    assert message != replace(message, detector_id=None)
    assert message != "message"


def test_decoded_event_message_is_like_a_constructed_one():
    message = decode(VALID["ev42 with is84"])
    twin = type(message)(**{name: getattr(message, name) for name in message.__slots__})
    assert twin == message
    assert repr(twin) == repr(message)


def test_foreign_message_is_malformed_and_survives_pickling():
    error = pickle.loads(pickle.dumps(ForeignMessage("f144")))  # noqa: S301
    assert isinstance(error, MalformedMessage)
    assert error.schema == "f144"
