from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from operator_specs import parameter
from pydantic import TypeAdapter, ValidationError

from runstart.specifications import ParameterSpec

ADAPTER: TypeAdapter[Any] = TypeAdapter(ParameterSpec)


def read(name: str, **more: Any) -> Any:
    return ADAPTER.validate_python(parameter(name, **more))


@pytest.mark.parametrize(
    ("name", "default"),
    [
        ("suffix", "_counted"),
        ("crop_to_x", 255),
        ("contrast", 2.0),
        ("flip", True),
        ("raw_data_dir", "/data"),
        ("colormap", "gray"),
    ],
)
def test_a_default_in_quotes_becomes_its_kind(name: str, default: Any) -> None:
    read_default = read(name).default
    assert (read_default, type(read_default)) == (default, type(default))


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("crop_to_x", "abc", "'abc' is no whole number; allowed is a whole number from 0 to 576"),
        ("crop_to_x", 2.5, "2.5 is no whole number"),
        ("crop_to_x", True, "True is no whole number"),
        ("crop_to_x", [1], "[1] is no whole number"),
        ("crop_to_x", -1, "-1 is below the smallest; allowed is a whole number from 0 to 576"),
        ("crop_to_x", "577", "577 is above the largest; allowed is a whole number from 0 to 576"),
        ("crop_to_x", 10**400, "a number of 1329 bits has more than 64 bits"),
        ("contrast", "wide", "'wide' is no finite number; allowed is a finite number"),
        ("contrast", math.inf, "inf is no finite number"),
        ("contrast", "nan", "'nan' is no finite number"),
        ("contrast", 10**400, "is no finite number"),
        ("contrast", False, "False is no finite number"),
        ("flip", "maybe", "'maybe' is neither true nor false; allowed are true and false"),
        ("flip", 2, "2 is neither true nor false"),
        ("flip", 1.0, "1.0 is neither true nor false"),
        ("suffix", 5, "5 is no text; allowed is a text"),
        ("raw_data_dir", "a\0b", "is no path"),
        ("colormap", "jet", "'jet' is not among the options; allowed are gray, viridis"),
        ("colormap", ["gray"], "['gray'] is not among the options"),
    ],
)
@pytest.mark.parametrize("field", ["default", "value"])
def test_a_wrong_value_is_told_with_what_is_allowed(field: str, name: str, value: Any, told: str) -> None:
    with pytest.raises(ValidationError) as caught:
        read(name, **{field: value})
    assert [one["loc"][-1] for one in caught.value.errors()] == [field]
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("text", "truth"), [("true", True), ("False", False), (" yes ", True), ("off", False), (0, False)]
)
def test_truth_is_read_from_texts_and_from_truth(text: Any, truth: bool) -> None:
    # The reference's generated code called .lower() on what was a bool already.
    assert read("flip").check(text) is truth
    assert read("flip").check(truth) is truth


def test_a_value_is_checked_again_each_time_that_it_is_set() -> None:
    one = read("crop_to_x", value=None)
    assert one.current == 255
    one.value = "12"
    assert one.current == 12
    with pytest.raises(ValidationError, match="above the largest"):
        one.value = 1000
    assert one.current == 12
    one.value = None
    assert one.current == 255


@pytest.mark.parametrize("options", [None, [], "gray"])
def test_a_choice_without_options_is_refused(options: Any) -> None:
    with pytest.raises(ValidationError, match="options"):
        read("colormap", options=options)


@pytest.mark.parametrize("name", ["../etc", "a/b", "..", ".", "a\\b", "a\0"])
def test_a_mount_cannot_lead_out_of_the_data_folder(name: str) -> None:
    with pytest.raises(ValidationError, match="no name of a file"):
        read(name, type="mount", default="/data")
    assert read("offsets.emd", type="mount", default="").name == "offsets.emd"


@given(st.integers(-(2**63) + 1, 2**63 - 1))
def test_every_whole_number_is_read_back_from_its_text(number: int) -> None:
    one = read("count", type="int", default=number)
    assert one.check(str(number)) == one.check(number) == one.default == number


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_finite_number_is_read_back_from_its_text(number: float) -> None:
    one = read("level", type="float", default=number)
    assert one.check(repr(number)) == one.check(number) == one.default == number
