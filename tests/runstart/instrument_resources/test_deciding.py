from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from instrument_tables import make_resource, make_table

from runstart.instrument_resources.deciding import Decision, decide
from runstart.instrument_resources.names import ORIGINS_KEY, TEXT_KEY
from runstart.instrument_resources.origins import make_data, read_data
from runstart.instrument_resources.resource import Resource
from runstart.instrument_resources.text import Base, read_base, write_text

KAFKA = {"kafka": {"default": {"bootstrap_servers": "localhost:9092"}}}


@pytest.fixture
def base(tmp_path: Path) -> Base:
    return make_base(tmp_path, {})


def make_base(folder: Path, instruments: dict[str, Any]) -> Base:
    path = folder / "base.toml"
    path.write_text(write_text(KAFKA, instruments))
    return read_base(path, {})


def again(base: Base, before: Decision, *resources: Resource) -> Decision:
    """Decide as a controller that was started anew does: it knows what the config map says."""
    return decide(base, resources, read_data(make_data(base, before)))


def test_all_that_are_right_are_in_force(base: Base) -> None:
    decision = decide(base, [make_resource("SANS"), make_resource("loq")], {})
    assert decision.refusals == {}
    text = make_data(base, decision)[TEXT_KEY]
    assert tomllib.loads(text) == KAFKA | {"instruments": {"SANS": make_table(), "loq": make_table()}}


def test_equal_resources_in_any_order_give_equal_texts(base: Base) -> None:
    resources = [make_resource("SANS", created=1), make_resource("LOQ", created=2)]
    first = decide(base, resources, {})
    assert make_data(base, first) == make_data(base, decide(base, resources[::-1], {}))
    assert make_data(base, again(base, first, *resources)) == make_data(base, first)


def test_a_bad_resource_is_explained_and_harms_no_other(base: Base) -> None:
    bad = make_resource("LOQ", tof={"start_us": 0, "stop_us": 100, "bins": 7}, typo=1)
    decision = decide(base, [bad, make_resource("SANS")], {})
    assert decision.tables().keys() == {"SANS"}
    refusal = decision.refusals[bad.uid]
    assert refusal.reason == "Invalid"
    assert refusal.text.startswith("spec.tof.bins: 7 bins do not divide")
    assert refusal.text.endswith("(1 more to mend.)")


def test_a_resource_that_became_bad_stays_as_it_was(base: Base) -> None:
    before = decide(base, [make_resource(title="good")], {})
    decision = again(base, before, make_resource(title="bad", generation=2, grace=-1))
    assert decision.tables()["SANS"]["title"] == "good"
    assert decision.placed["uid-of-SANS"].generation == 1
    assert decision.refusals["uid-of-SANS"].reason == "Invalid"
    mended = again(base, decision, make_resource(title="better", generation=3))
    assert (mended.tables()["SANS"]["title"], mended.refusals) == ("better", {})


def test_a_resource_that_is_gone_leaves_the_file(base: Base) -> None:
    before = decide(base, [make_resource("SANS"), make_resource("LOQ")], {})
    assert again(base, before, make_resource("LOQ")).tables().keys() == {"LOQ"}


def test_a_bad_resource_does_not_inherit_from_a_deleted_one_of_its_name(base: Base) -> None:
    before = decide(base, [make_resource(uid="old")], {})
    assert again(base, before, make_resource(uid="new", grace=-1)).placed == {}


def test_of_two_of_one_name_the_older_has_it(base: Base) -> None:
    older, younger = make_resource(uid="b", created=1), make_resource(uid="a", created=2)
    decision = decide(base, [younger, older], {})
    assert decision.placed.keys() == {"b"}
    assert decision.refusals["a"].reason == "NameTaken"
    assert again(base, decision, younger).placed.keys() == {"a"}


def test_what_is_in_force_keeps_its_name_against_an_older_one(base: Base) -> None:
    before = decide(base, [make_resource("SANS", uid="b", created=2), make_resource("LOQ", uid="a", created=1)], {})
    renamed = make_resource("SANS", uid="a", created=1, generation=2)
    decision = again(base, before, make_resource("SANS", uid="b", created=2), renamed)
    assert {uid: placed.instrument for uid, placed in decision.placed.items()} == {"a": "LOQ", "b": "SANS"}
    assert decision.refusals["a"].reason == "NameTaken"


def test_an_instrument_of_the_base_keeps_its_name(tmp_path: Path) -> None:
    base = make_base(tmp_path, {"SANS": make_table()})
    decision = decide(base, [make_resource("SANS")], {})
    assert decision.placed == {}
    assert "of the base file already" in decision.refusals["uid-of-SANS"].text


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"topics": {"events": "LOQ_events"}}, "spec.topics.events: 'LOQ_events' is the event topic of LOQ"),
        ({"kafka": "other"}, r"spec.kafka: there is no Kafka cluster 'other' \(known: default\)"),
    ],
)
def test_a_conflict_with_what_is_there_is_explained(base: Base, changes: dict[str, Any], text: str) -> None:
    decision = decide(base, [make_resource("LOQ", created=1), make_resource("SANS", created=2, **changes)], {})
    assert decision.tables().keys() == {"LOQ"}
    assert decision.refusals["uid-of-SANS"].reason == "Conflict"
    with pytest.raises(AssertionError, match=text):
        raise AssertionError(decision.refusals["uid-of-SANS"].text)


def test_an_instrument_can_take_what_another_lets_go_at_the_same_time(base: Base) -> None:
    before = decide(
        base, [make_resource("A", topics={"events": "x"}), make_resource("B", topics={"events": "y"})], {}
    )
    freed = again(
        base,
        before,
        make_resource("A", generation=2, topics={"events": "y"}),  # tried before B has let it go
        make_resource("B", generation=2, topics={"events": "z"}),
    )
    assert freed.refusals == {}
    assert freed.tables()["A"]["topics"] == {"events": "y"}


def test_more_than_a_config_map_takes_is_refused_and_the_rest_stays(base: Base) -> None:
    huge = make_resource("HUGE", created=2, title="x" * 1_000_000)
    decision = decide(base, [make_resource("SANS", created=1), huge], {})
    assert decision.tables().keys() == {"SANS"}
    assert "more than the 900,000 of a config map" in decision.refusals[huge.uid].text


@pytest.mark.parametrize(
    "data",
    [
        {},
        {TEXT_KEY: "not TOML", ORIGINS_KEY: '{"u": ["SANS", 1]}'},
        {TEXT_KEY: "", ORIGINS_KEY: "[]"},
        {ORIGINS_KEY: "{"},
    ],
    ids=str,
)
def test_a_config_map_that_others_have_changed_has_nothing_in_force(data: dict[str, str]) -> None:
    assert read_data(data) == {}


def test_the_environment_alone_can_name_the_brokers() -> None:
    base = read_base(None, {"RUNSTART_KAFKA": "broker:9092"})
    assert decide(base, [make_resource()], {}).refusals == {}
