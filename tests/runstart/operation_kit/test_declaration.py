from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Annotated, Any

import pytest
from operation_toys import every_kind, filtered_toy, toy

from runstart.errors import Alert
from runstart.operation_kit import (
    ColorChannels,
    Fits,
    Float,
    Int,
    Operation,
    Select,
    Source,
    TargetPositions,
    Text,
    operation,
)

declare = operation(name="X", version="1", description="Does it.")
LABEL = ("Label", "What it is.")


def test_an_operation_is_called_as_its_function_and_described_as_it_is_declared() -> None:
    assert (toy.slug, toy.name, toy.version, toy.category) == ("toy", "Toy", "1", "image")
    assert list(toy.inputs) == ["input_files", "level", "count", "mode", "note"]


def test_the_source_is_that_of_the_file_and_of_the_private_modules_beside_it(tmp_path: Path) -> None:
    def digest() -> str:
        spec = importlib.util.spec_from_file_location("declared_here", tmp_path / "declared_here.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        found: str = module.function.source_sha256
        return found

    text = (
        "from runstart.operation_kit import operation\n"
        '@operation(name="X", version="1", description="Does it.")\n'
        "def function(work):\n    return None\n"
    )
    (tmp_path / "declared_here.py").write_text(text)
    first = digest()
    (tmp_path / "public.py").write_text("")
    assert digest() == first
    (tmp_path / "_helper.py").write_text("one = 1")
    second = digest()
    (tmp_path / "_helper.py").write_text("one = 2")
    third = digest()
    (tmp_path / "declared_here.py").write_text(text + "\n")
    assert len({first, second, third, digest()}) == 4


def test_the_wizard_description_has_the_form_of_the_reference() -> None:
    files = {"name": "Images", "description": "FITS images.", "type": "fits", "minimum": 2, "maximum": 999}
    channels = {
        "name": "Color Channel",
        "description": "Image for a channel.",
        "type": "fits",
        "minimum": 1,
        "maximum": 6,
        "include_custom_scale": True,
        "color_picker": True,
    }
    target = {
        "name": "Source",
        "description": "The object.",
        "type": "source",
        "name_lookup": True,
        "required": True,
    }
    track = {
        "name": "Track",
        "description": "Where it was.",
        "type": "target_positions",
        "minimum": 1,
        "maximum": 3,
    }
    radius = {
        "name": "Radius",
        "description": "In arcseconds.",
        "type": "float",
        "minimum": 0.5,
        "required": True,
    }
    order = {
        "name": "Order",
        "description": "Of the polynomial.",
        "type": "int",
        "minimum": 0,
        "maximum": 5,
        "required": True,
    }
    method = {
        "name": "Method",
        "description": "How.",
        "type": "select",
        "options": ["simple", "reproject"],
        "default": "simple",
    }
    expected = {
        "name": "Every Kind",
        "description": "Takes one input of every kind.",
        "category": "image",
        "inputs": {
            "images": files,
            "channels": channels,
            "target": target,
            "track": track,
            "radius": radius,
            "order": order,
            "title": {"name": "Title", "description": "Of the picture.", "type": "string", "required": True},
            "method": method,
        },
    }
    assert json.dumps(every_kind.wizard()) == json.dumps(expected)
    filtered = filtered_toy.wizard()["inputs"]["input_files"]
    assert list(filtered) == [
        "name",
        "description",
        "type",
        "minimum",
        "maximum",
        "single_filter",
        "filter_options",
    ]
    assert filtered["filter_options"] == ["rp", "gp"]
    assert filtered_toy.wizard()["inputs"]["others"]["default"] == []


def test_descriptions_are_the_callers_own() -> None:
    toy.wizard()["inputs"]["mode"]["options"].append("x")
    toy.schema()["properties"]["input_files"]["items"]["anyOf"].clear()
    assert "x" not in toy.wizard()["inputs"]["mode"]["options"]
    assert toy.schema()["properties"]["input_files"]["items"]["anyOf"]


def test_the_schema_names_what_is_required_and_allows_nothing_else() -> None:
    schema = every_kind.schema()
    assert schema["required"] == [key for key in every_kind.inputs if key != "method"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["method"] == {
        "title": "Method",
        "description": "How.",
        "type": "string",
        "enum": ["simple", "reproject"],
        "default": "simple",
    }
    json.dumps(schema, allow_nan=False)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ([], "no object"),
        ({"input_files": ["a/b"], "levle": 1}, "no input 'levle'"),
        ({}, "needs the input 'input_files'"),
        ({"input_files": ["a/b"], "level": None}, "level is None"),
    ],
)
def test_a_request_of_another_form_is_an_alert(given: Any, text: str) -> None:
    with pytest.raises(Alert, match=text):
        toy.check(given)


def mistaken(hint: Any, default: Any = ...) -> None:
    """Declare an operation with one parameter, `limit`."""
    if default is ...:

        def takes(work: Any, limit: Any) -> Any:
            return None
    else:

        def takes(work: Any, limit: Any = default) -> Any:
            return None

    takes.__annotations__["limit"] = hint
    declare(takes)


@pytest.mark.parametrize(
    ("hint", "default"),
    [
        (float, ...),
        (Annotated[float, "no kind"], ...),
        (Annotated[float, Float(*LABEL), Int(*LABEL)], ...),
        (Annotated[float, Float("", "")], ...),
        (Annotated[float, Float(*LABEL, minimum=2, maximum=1)], ...),
        (Annotated[float, Float(*LABEL, minimum=2)], 1.0),
        (Annotated[int, Int(*LABEL)], 1.5),
        (Annotated[int, Int(*LABEL)], True),
        (Annotated[str, Text(*LABEL)], None),
        (Annotated[str, Select(*LABEL)], ...),
        (Annotated[str, Select(*LABEL, options=("a", "a"))], ...),
        (Annotated[str, Select(*LABEL, options="abc")], ...),  # type: ignore[arg-type]
        (Annotated[str, Select(*LABEL, options=("a", "b"))], "c"),
        (Annotated[list[Any], Fits(*LABEL, minimum=3, maximum=2)], ...),
        (Annotated[list[Any], Fits(*LABEL, minimum=-1)], ...),
        (Annotated[list[Any], Fits(*LABEL, filter_options="rp")], ...),  # type: ignore[arg-type]
        (Annotated[list[Any], ColorChannels(*LABEL)], []),
        (Annotated[Any, Source(*LABEL)], {}),
        (Annotated[Any, TargetPositions(*LABEL, minimum=1)], []),
    ],
)
def test_a_mistake_of_the_author_is_a_type_error_with_the_parameter(hint: Any, default: Any) -> None:
    with pytest.raises(TypeError, match="limit"):
        mistaken(hint, default)


def test_a_parameter_that_cannot_be_given_by_name_is_a_type_error() -> None:
    def positional(work: Any, limit: Annotated[float, Float(*LABEL)], /) -> None: ...

    def any_number(work: Any, *limit: Annotated[float, Float(*LABEL)]) -> None: ...

    def any_name(work: Any, **limit: Annotated[float, Float(*LABEL)]) -> None: ...

    for function in (positional, any_number, any_name):
        with pytest.raises(TypeError, match="limit"):
            declare(function)


def test_a_function_without_work_is_a_type_error() -> None:
    def nothing() -> None: ...

    def no_work(limit: Annotated[float, Float(*LABEL)]) -> None: ...

    for function in (nothing, no_work):
        with pytest.raises(TypeError, match="work"):
            declare(function)


def test_a_function_in_no_file_or_of_another_spelling_is_a_type_error() -> None:
    namespace: dict[str, Any] = {}
    exec("def elsewhere(work): ...\ndef Elsewhere(work): ...", namespace)  # noqa: S102
    with pytest.raises(TypeError, match="in no file"):
        declare(namespace["elsewhere"])
    with pytest.raises(TypeError, match="lower-case"):
        declare(namespace["Elsewhere"])


def test_an_operation_may_take_nothing() -> None:
    def alone(work: Any) -> None: ...

    declared: Operation = declare(alone)
    assert declared.check({}) == {}
    with pytest.raises(Alert, match="takes none"):
        declared.check({"x": 1})
