from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from operation_toys import every_kind, filtered_toy, toy

from runstart.errors import Alert
from runstart.fits import FitsReference, ResolvedFile
from runstart.operation_kit import Operation, make_key
from runstart.operation_kit.keys import check_is_key, describe_request, order_files

NAMES = st.text("abcdefgh0123", min_size=1, max_size=8)
FILES = st.dictionaries(NAMES, st.binary(max_size=3), min_size=1, max_size=5)


def resolve(reference: FitsReference, content: bytes) -> ResolvedFile:
    name = reference.basename
    return ResolvedFile(reference, "night", name, "1", hashlib.sha256(content).hexdigest(), len(content))


def key_of(operation: Operation, contents: dict[str, bytes], request: dict[str, Any]) -> str:
    """Return the key of a request whose files are in the source `night`."""
    values = operation.check(request)
    references = [r for key, i in operation.inputs.items() for r in i.kind.references(values[key])]
    resolved = {r: resolve(r, contents[r.basename]) for r in references}
    ordered = order_files(operation, values, resolved)
    filters = {
        key: {r: r.filter for r in i.kind.references(values[key])}
        for key, i in operation.inputs.items()
        if getattr(i.kind, "single_filter", False)
    }
    return make_key(describe_request(operation, ordered, resolved, filters))


def toy_key(contents: dict[str, bytes], names: list[str] | None = None, **inputs: Any) -> str:
    files = [f"night/{name}" for name in (contents if names is None else names)]
    return key_of(toy, contents, {"input_files": files, **inputs})


@given(FILES, st.data())
def test_the_order_of_the_files_does_not_matter(contents: dict[str, bytes], data: st.DataObject) -> None:
    order = data.draw(st.permutations(list(contents)))
    assert toy_key(contents, order) == toy_key(contents)


@given(FILES)
def test_names_that_keep_the_order_do_not_matter(contents: dict[str, bytes]) -> None:
    renamed = {f"x{number}": contents[name] for number, name in enumerate(sorted(contents))}
    assert toy_key(renamed) == toy_key(contents)


def test_the_order_of_the_contents_by_name_does() -> None:
    assert toy_key({"a": b"1", "b": b"2"}) != toy_key({"a": b"2", "b": b"1"})


@given(FILES, st.data())
def test_another_content_is_another_key(contents: dict[str, bytes], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(contents)))
    assert toy_key({**contents, name: contents[name] + b"."}) != toy_key(contents)


@given(FILES)
def test_one_more_file_is_another_key(contents: dict[str, bytes]) -> None:
    name = sorted(contents)[0]
    assert len(contents) == 5 or toy_key(contents, [*contents, name]) != toy_key(contents)


@given(st.floats(-10, 10), st.floats(-10, 10))
def test_keys_are_equal_if_and_only_if_the_numbers_are(one: float, other: float) -> None:
    contents = {"a": b"1"}
    assert (toy_key(contents, level=one) == toy_key(contents, level=other)) == (one == other)


def test_each_parameter_is_part_of_the_key() -> None:
    contents = {"a": b"1"}
    changes: list[dict[str, Any]] = [{}, {"level": 2}, {"count": 3}, {"mode": "own"}, {"note": "x"}]
    assert len({toy_key(contents, **change) for change in changes}) == len(changes)


def test_defaults_are_filled_in_and_numbers_have_one_form() -> None:
    contents = {"a": b"1"}
    whole = {"level": 1, "count": 2.0, "mode": "plain", "note": ""}
    assert toy_key(contents, **whole) == toy_key(contents) == toy_key(contents, level=1.0)
    assert toy_key(contents, level=-0.0) == toy_key(contents, level=0)


@pytest.mark.parametrize("change", [{"version": "2"}, {"name": "Other"}, {"source_sha256": "0" * 64}])
def test_another_operation_version_or_source_is_another_key(change: dict[str, str]) -> None:
    changed = dataclasses.replace(toy, **change)
    request = {"input_files": ["night/a"]}
    assert key_of(changed, {"a": b"1"}, request) != key_of(toy, {"a": b"1"}, request)


def test_another_version_of_the_library_is_another_key(monkeypatch: pytest.MonkeyPatch) -> None:
    before = toy_key({"a": b"1"})
    monkeypatch.setattr("runstart.__version__", "99")
    assert toy_key({"a": b"1"}) != before


@pytest.mark.parametrize("edited", ["images/median.py", "fits/reading.py", "operation_kit/outputs.py"])
def test_an_edited_file_that_computes_or_writes_images_is_another_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, edited: str
) -> None:
    keys = []
    for text in ("a = 1", "a = 2"):
        package = tmp_path / text[-1]
        for name in ("images/median.py", "fits/reading.py", "operation_kit/outputs.py"):
            (package / name).parent.mkdir(parents=True)
            (package / name).write_text(text if name == edited else "b = 0")
        monkeypatch.setattr("runstart.__file__", str(package / "__init__.py"))
        keys.append(toy_key({"a": b"1"}))
    assert keys[0] != keys[1]


def test_a_filter_is_part_of_the_key_where_it_is_asked_for() -> None:
    def key(name: str, operation: Operation) -> str:
        files = [{"source": "night", "basename": "a", "filter": name}]
        return key_of(operation, {"a": b"1"}, {"input_files": files})

    assert key("rp", filtered_toy) != key("gp", filtered_toy)
    assert key("rp", toy) == key("gp", toy)


def test_channels_keep_their_order() -> None:
    def key(*names: str) -> str:
        channels = [
            {"source": "night", "basename": name, "color": {"r": 1, "g": 2, "b": 3}, "zmin": 0, "zmax": 1}
            for name in names
        ]
        request = {
            "images": ["night/a", "night/b"],
            "channels": channels,
            "target": {"ra": 1, "dec": 2},
            "track": [{"ra": 1, "dec": 2}],
            "radius": 1,
            "order": 1,
            "title": "",
        }
        return key_of(every_kind, {"a": b"1", "b": b"2"}, request)

    assert key("a", "b") != key("b", "a")
    assert key("a", "b") == key("a", "b")


def test_the_key_is_the_sha256_of_canonical_json() -> None:
    made_of = {"b": [1.0, "ä"], "a": None}
    expected = hashlib.sha256(b'{"a":null,"b":[1.0,"\\u00e4"]}').hexdigest()
    assert make_key(made_of) == expected == make_key(json.loads(json.dumps(made_of)))


@pytest.mark.parametrize("text", ["", "0" * 63, "0" * 65, "g" * 64, "A" * 64, "../" + "0" * 61, "0" * 64 + "\n"])
def test_what_is_no_key_is_an_alert(text: str) -> None:
    with pytest.raises(Alert, match="is no key"):
        check_is_key(text)
