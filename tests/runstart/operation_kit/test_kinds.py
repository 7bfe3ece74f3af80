from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from operation_toys import every_kind, toy

from runstart.errors import Alert
from runstart.fits import FitsReference
from runstart.operation_kit import (
    ColorChannels,
    Fits,
    Float,
    Int,
    Kind,
    Select,
    Source,
    TargetPositions,
    Text,
)

LABEL = ("Label", "What it is.")
KEY = "value"
COLOR = {"r": 255, "g": 0, "b": 10}
CHANNEL: dict[str, Any] = {"source": "archive", "basename": "a", "color": COLOR, "zmin": 0, "zmax": 9.5}


def without(mapping: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {key: value for key, value in mapping.items() if key not in names}


FITS = Fits(*LABEL, minimum=2, maximum=3)
CHANNELS = ColorChannels(*LABEL)
FLOAT = Float(*LABEL, minimum=0, maximum=10)
INT = Int(*LABEL, minimum=0, maximum=10)
POSITIONS = TargetPositions(*LABEL, minimum=1, maximum=2)


@pytest.mark.parametrize(
    ("kind", "value", "place", "rule"),
    [
        (FITS, ["a/b"], KEY, "needs at least 2"),
        (FITS, [], KEY, "needs at least 2"),
        (FITS, ["a/b"] * 4, KEY, "takes at most 3"),
        (Fits(*LABEL), ["a/b"] * 10_000, KEY, "has 10,000 files; it takes at most 999"),
        (FITS, "a/b", KEY, "no list"),
        (FITS, {"source": "a", "basename": "b"}, KEY, "no list"),
        (FITS, None, KEY, "no list"),
        (FITS, ["a/b", "a"], f"{KEY}[1]", "SOURCE/BASENAME"),
        (FITS, ["a/b", "a/../b"], f"{KEY}[1]", "basename"),
        (FITS, ["a/b", "a/ä.fits"], f"{KEY}[1]", "basename"),
        (FITS, ["a/b", 7], f"{KEY}[1]", "SOURCE/BASENAME"),
        (FITS, ["a/b", {"source": "a", "basename": "b", "colour": 1}], f"{KEY}[1]", "colour"),
        (FITS, ["a/b", {"uri": "ftp://x/y"}], f"{KEY}[1]", "URI"),
        (CHANNELS, [CHANNEL] * 7, KEY, "takes at most 6"),
        (CHANNELS, [], KEY, "needs at least 1"),
        (CHANNELS, ["archive/a"], f"{KEY}[0]", "color"),
        (CHANNELS, [CHANNEL, without(CHANNEL, "color")], f"{KEY}[1].color", "r, g and b"),
        (CHANNELS, [{**CHANNEL, "color": {"r": 1, "g": 2}}], f"{KEY}[0].color", "r, g and b"),
        (CHANNELS, [{**CHANNEL, "color": {**COLOR, "alpha": 1}}], f"{KEY}[0].color", "r, g and b"),
        (CHANNELS, [{**CHANNEL, "color": {**COLOR, "g": 300}}], f"{KEY}[0].color.g", "300; the largest is 255"),
        (CHANNELS, [{**CHANNEL, "color": {**COLOR, "g": -1}}], f"{KEY}[0].color.g", "smallest is 0"),
        (CHANNELS, [{**CHANNEL, "color": {**COLOR, "g": 0.5}}], f"{KEY}[0].color.g", "no whole number"),
        (CHANNELS, [without(CHANNEL, "zmin")], f"{KEY}[0].zmin", "no finite number"),
        (CHANNELS, [{**CHANNEL, "zmax": math.nan}], f"{KEY}[0].zmax", "no finite number"),
        (CHANNELS, [{**CHANNEL, "zmin": 10}], f"{KEY}[0].zmin", "above zmax"),
        (CHANNELS, [without(CHANNEL, "source", "basename")], f"{KEY}[0]", "empty"),
        (FLOAT, math.nan, KEY, "no finite number"),
        (FLOAT, math.inf, KEY, "no finite number"),
        (FLOAT, 10**400, KEY, "no finite number"),
        (FLOAT, True, KEY, "no finite number"),
        (FLOAT, "1", KEY, "no finite number"),
        (FLOAT, -0.5, KEY, "-0.5; the smallest is 0"),
        (FLOAT, 10.000001, KEY, "10.000001; the largest is 10"),
        (INT, 1.5, KEY, "no whole number"),
        (INT, True, KEY, "no whole number"),
        (INT, "1", KEY, "no whole number"),
        (INT, math.inf, KEY, "no whole number"),
        (INT, math.nan, KEY, "no whole number"),
        (INT, 11, KEY, "11; the largest is 10"),
        (Int(*LABEL), 2**63, KEY, "64 bits"),
        (Int(*LABEL), 1e300, KEY, "64 bits"),
        (Int(*LABEL), 1 << 4000, KEY, "64 bits"),
        (Text(*LABEL), 1, KEY, "no text"),
        (Text(*LABEL, longest=3), "abcd", KEY, "at most 3"),
        (Text(*LABEL), "a\x1b[2J", KEY, "control characters"),
        (Text(*LABEL), "a\nb", KEY, "control characters"),
        (Text(*LABEL), "\ud800", KEY, "control characters"),
        (Select(*LABEL, options=("a", "b")), "c", KEY, "Choose one of: a, b"),
        (Select(*LABEL, options=("a", "b")), ["a"], KEY, "Choose one of: a, b"),
        (Select(*LABEL, options=("a", "b")), None, KEY, "Choose one of: a, b"),
        (Source(*LABEL), "M 51", KEY, "ra and dec"),
        (Source(*LABEL), {"ra": 1}, KEY, "ra and dec"),
        (Source(*LABEL), {"ra": 1, "dec": math.nan}, f"{KEY}.dec", "no finite number"),
        (Source(*LABEL), {"ra": 1, "dec": 91}, f"{KEY}.dec", "largest is 90"),
        (Source(*LABEL), {"ra": None, "dec": 1}, f"{KEY}.ra", "no finite number"),
        (Source(*LABEL), {"ra": 1, "dec": 1, "mjd": 1}, KEY, "unknown field 'mjd'"),
        (Source(*LABEL), {"ra": 1, "dec": 1, "name": 5}, f"{KEY}.name", "no text"),
        (POSITIONS, [], KEY, "needs at least 1"),
        (POSITIONS, [{"ra": 1, "dec": 1}] * 3, KEY, "takes at most 2"),
        (POSITIONS, [{"ra": 1, "dec": 1}, {"ra": 1}], f"{KEY}[1]", "ra and dec"),
        (POSITIONS, [{"ra": 1, "dec": 1, "mjd": math.inf}], f"{KEY}[0].mjd", "no finite number"),
        (POSITIONS, [{"ra": 1, "dec": 1, "name": "x"}], f"{KEY}[0]", "unknown field 'name'"),
    ],
)
def test_a_bad_value_is_an_alert_with_its_place_and_the_rule(kind: Kind, value: Any, place: str, rule: str) -> None:
    with pytest.raises(Alert) as caught:
        kind.check(KEY, value)
    text = str(caught.value)
    assert text.startswith(place)
    assert rule in text
    assert len(text) < 400
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("kind", "value", "normal"),
    [
        (FLOAT, 3, 3.0),
        (FLOAT, -0.0, 0.0),
        (INT, 3.0, 3),
        (Int(*LABEL), -(2**63) + 1, -(2**63) + 1),
        (Text(*LABEL), "Größe 1\u2033", "Größe 1\u2033"),
        (Source(*LABEL), {"ra": -10, "dec": 90}, {"ra": -10.0, "dec": 90.0, "name": ""}),
        (POSITIONS, [{"ra": 1, "dec": 2, "mjd": 3}], [{"ra": 1.0, "dec": 2.0, "mjd": 3.0}]),
        (FITS, ("a/b", "a/c"), [FitsReference.parse("a/b"), FitsReference.parse("a/c")]),
        (
            CHANNELS,
            [CHANNEL],
            [{"file": FitsReference.parse("archive/a"), "color": COLOR, "zmin": 0.0, "zmax": 9.5}],
        ),
    ],
)
def test_a_good_value_gets_its_normal_form(kind: Kind, value: Any, normal: Any) -> None:
    checked = kind.check(KEY, value)
    assert checked == normal
    assert type(checked) is type(normal)
    assert repr(checked) == repr(normal)


def fits_schema(value: Any, schema: Mapping[str, Any]) -> bool:
    """Tell whether a value is as the few words of JSON Schema that the kit uses say."""
    if "anyOf" in schema:
        return any(fits_schema(value, option) for option in schema["anyOf"])
    if "enum" in schema and value not in schema["enum"]:
        return False
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    of_type = {
        "string": isinstance(value, str),
        "number": number,
        "integer": number and (isinstance(value, int) or value.is_integer()),
        "array": isinstance(value, list),
        "object": isinstance(value, dict),
    }
    if not of_type[schema["type"]]:
        return False
    if schema["type"] == "array":
        in_bounds = schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", math.inf)
        return in_bounds and all(fits_schema(item, schema["items"]) for item in value)
    if schema["type"] == "object":
        properties = schema["properties"]
        return (
            set(schema.get("required", ())) <= set(value)
            and (schema.get("additionalProperties", True) or set(value) <= set(properties))
            and all(fits_schema(item, properties[key]) for key, item in value.items() if key in properties)
        )
    if schema["type"] == "string":
        return len(value) <= schema.get("maxLength", math.inf)
    return schema.get("minimum", -math.inf) <= value <= schema.get("maximum", math.inf)


NUMBERS = st.one_of(st.floats(-400, 400), st.integers(-400, 400), st.just(True))
REFERENCES = st.one_of(
    st.sampled_from(["archive/a", "a", "https://x/y.fits"]),
    st.fixed_dictionaries({"source": st.just("a"), "basename": st.just("b")}, optional={"filter": st.just("rp")}),
    st.fixed_dictionaries({"uri": st.just("file:/a/b")}),
)
POSITION = st.fixed_dictionaries(
    {"ra": NUMBERS, "dec": NUMBERS}, optional={"mjd": NUMBERS, "name": st.text(max_size=3), "x": NUMBERS}
)
CHANNEL_VALUES = st.fixed_dictionaries(
    {
        "source": st.just("a"),
        "basename": st.just("b"),
        "color": st.fixed_dictionaries(dict.fromkeys("rgb", st.integers(-5, 300)), optional={"a": st.just(1)}),
        "zmin": NUMBERS,
    },
    optional={"zmax": NUMBERS},
)
VALUES = st.one_of(
    NUMBERS,
    st.none(),
    st.sampled_from(["simple", "reproject", "other"]),
    st.text(max_size=30),
    POSITION,
    st.lists(POSITION, max_size=4),
    st.lists(REFERENCES, max_size=4),
    st.lists(CHANNEL_VALUES, max_size=7),
)


@pytest.mark.parametrize("key", every_kind.inputs)
@given(value=VALUES)
def test_the_schema_accepts_whatever_is_accepted(key: str, value: Any) -> None:
    declared = every_kind.inputs[key]
    try:
        declared.kind.check(key, value)
    except Alert:
        return
    assert fits_schema(value, declared.schema())
    assert json.loads(json.dumps(value)) == value


@given(st.sampled_from(["level", "count", "mode"]), VALUES)
def test_what_the_schema_of_a_scalar_accepts_is_accepted(key: str, value: Any) -> None:
    declared = toy.inputs[key]
    if fits_schema(value, declared.schema()):
        declared.kind.check(key, value)
