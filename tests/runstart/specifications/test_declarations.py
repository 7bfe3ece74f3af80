from __future__ import annotations

from typing import Any

import pytest

from runstart.errors import Alert
from runstart.specifications import read_parameter, read_port, read_trigger


@pytest.mark.parametrize(
    ("text", "name", "kind"), [("frames:frame", "frames", "frame"), ("x", "x", "bytes"), ("x:", "x", "bytes")]
)
def test_a_port_is_a_name_and_a_type(text: str, name: str, kind: str) -> None:
    port = read_port(text)
    assert (port.name, port.type) == (name, kind)


def test_a_trigger_is_a_name_and_a_mode() -> None:
    assert (read_trigger("go").mode, read_trigger("read_now:drain").mode) == ("single", "drain")
    assert read_trigger("read_now").label == "Read now"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("sigma:float=2.5", {"type": "float", "default": 2.5, "required": True, "label": "Sigma"}),
        ("sigma:float=2.5,0,10", {"default": 2.5, "minimum": 0.0, "maximum": 10.0}),
        ("count:int=7,-1,9", {"default": 7, "minimum": -1, "maximum": 9}),
        ("count:int", {"default": 0}),
        ("flip:bool=true", {"default": True}),
        ("flip:bool", {"default": False}),
        ("suffix:str=a,b=c", {"default": "a,b=c", "required": False}),
        ("folder:mount", {"default": "", "required": True}),
        ("folder:mount=/data", {"default": "/data", "required": False}),
        ("mode:str-enum=fast,exact", {"default": "fast", "options": ["fast", "exact"]}),
    ],
)
def test_a_parameter_is_a_name_a_type_and_a_default(text: str, told: dict[str, Any]) -> None:
    parameter = read_parameter(text)
    assert {key: getattr(parameter, key) for key in told} == told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("sigma", "is of the type ''. Choose from: str, int, float"),
        ("sigma:double=1", "is of the type 'double'"),
        ("sigma:float=wide", "'wide' is no finite number"),
        ("sigma:float=1,2", "has 1 bounds"),
        ("sigma:float=11,0,10", "11.0 is above the largest"),
        ("mode:str-enum", "has no options. Write them with the default first: mode:str-enum=a,b,c."),
        ("flip:bool=perhaps", "'perhaps' is neither true nor false"),
        (":int=1", "does not begin with a name"),
        ("a b:int", "does not begin with a name"),
        ('"];x:int', "does not begin with a name"),
    ],
)
def test_a_wrong_parameter_is_told(text: str, told: str) -> None:
    with pytest.raises(Alert) as caught:
        read_parameter(text)
    assert told in str(caught.value)


@pytest.mark.parametrize("text", ["", ":frame", "a/b:frame", 'a"b', "1a", "é"])
def test_a_wrong_name_is_told(text: str) -> None:
    for read in (read_port, read_trigger):
        with pytest.raises(Alert, match="does not begin with a name"):
            read(text)
    with pytest.raises(Alert, match="has the mode 'twice'"):
        read_trigger("go:twice")
