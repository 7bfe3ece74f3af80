from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from instrument_tables import as_table, instruments, make_resource, make_table

from runstart.errors import Alert
from runstart.instrument_resources.resource import Resource, make_object, make_objects
from runstart.instrument_resources.text import check_text, read_base, write_text
from runstart.instruments import Instrument, read_instruments

CLUSTERS = (
    '[kafka.default]\nbootstrap_servers = "localhost:9092"\n[kafka.other]\nbootstrap_servers = "other:9092"\n'
)


@settings(max_examples=60)
@given(instrument=instruments())
def test_an_instrument_is_the_same_after_resource_and_file(
    instrument: Instrument, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("there-and-back")
    (folder / "base.toml").write_text(CLUSTERS)
    base = read_base(folder / "base.toml", {})
    made = make_object(instrument.name, as_table(instrument))
    made["metadata"] |= {"uid": "1", "creationTimestamp": "2026-01-01T00:00:00Z", "generation": 1}
    resource = Resource.from_object(json.loads(json.dumps(made)))
    text = write_text(base.table, {resource.instrument: resource.table()})
    assert check_text(text, base) is None
    (folder / "instruments.toml").write_text(text)
    assert read_instruments(folder / "instruments.toml", {}).instruments == {instrument.name: instrument}


@settings(max_examples=60)
@given(instrument=instruments())
def test_what_is_read_back_makes_the_same_text_so_that_nothing_is_rolled_twice(instrument: Instrument) -> None:
    base = tomllib.loads(CLUSTERS)
    told = json.loads(json.dumps(as_table(instrument), sort_keys=True))  # as the API server tells it
    text = write_text(base, {instrument.name: told})
    assert write_text(base, tomllib.loads(text)["instruments"]) == text


def test_without_another_name_the_instrument_has_that_of_the_resource() -> None:
    assert "name" not in make_object("loq", {})["spec"]
    assert make_resource("loq").instrument == "loq"
    assert make_resource("SANS_2").resource_name == "sans-2"
    assert make_resource("SANS_2").instrument == "SANS_2"


def test_options_of_a_collector_that_does_not_ship_are_lines_of_toml() -> None:
    table = {"collectors": {"mine": {"use": "third_party_collectors:Counting", "every": 0.5}}}
    declared = make_object("SANS", table)["spec"]["collectors"]["mine"]
    assert declared == {"use": "third_party_collectors:Counting", "options": "every = 0.5\n"}
    assert make_resource(**table).table()["collectors"] == table["collectors"]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ("every 0.5", r"spec\.collectors\.mine\.options: is not TOML: .*line 1"),
        ("use = 'x'", "'use' is given outside"),
    ],
)
def test_options_that_cannot_be_are_told(options: str, text: str) -> None:
    resource = make_resource(collectors={"mine": {"use": "a:B"}})
    resource.spec["collectors"]["mine"]["options"] = options
    with pytest.raises(Alert, match=text):
        resource.table()


def test_null_is_a_field_that_is_not_there() -> None:
    resource = make_resource()
    resource.spec["script"] = None
    resource.spec["banks"][0]["more"] = None
    assert resource.table() == make_table()


def test_two_instruments_whose_resources_would_have_one_name_are_told(tmp_path: Path) -> None:
    path = tmp_path / "instruments.toml"
    path.write_text(
        write_text({"kafka": {"default": {"bootstrap_servers": "a:1"}}}, {"a": make_table(), "A": make_table()})
    )
    with pytest.raises(Alert, match="resource of a would be named a, as that of another"):
        make_objects(path)
