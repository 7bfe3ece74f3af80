"""table-display shows tables, and says what is none."""

from __future__ import annotations

import json
import pickle

import pytest
from scan_messages import run_py

from runstart.errors import Alert
from runstart.frame_messages import table_message
from runstart.operators import BytesMessage, MessageHeader
from runstart.operators.testing import call, published

DISPLAY = run_py("table-display")
ROWS = [{"name": "A", "counts": 12}, {"name": "B", "counts": 7}]


def test_one_table_is_shown_as_its_records_and_several_by_their_names() -> None:
    published.clear()
    call(DISPLAY, [table_message({"one": ROWS}), table_message({"one": ROWS, "two": []})])
    assert [(one.media_type, one.name) for one in published] == [
        ("application/json", "one"),
        ("application/json", "one, two"),
    ]
    assert [json.loads(one.data) for one in published] == [ROWS, {"tables": {"one": ROWS, "two": []}}]


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (pickle.dumps({"tables": {"one": ROWS}}), "it is no JSON"),
        (b'{"rows": []}', "no JSON object with the field 'tables'"),
        (b"[1]", "no JSON object with the field 'tables'"),
        (b'{"tables": {"one": {"a": 1}}}', "'one' is no list of objects"),
        (b'{"tables": {"one": [1]}}', "'one' is no list of objects"),
    ],
)
def test_what_is_no_table_is_refused(data: bytes, told: str) -> None:
    with pytest.raises(Alert, match=told):
        call(DISPLAY, [BytesMessage(MessageHeader(), data)])
