from __future__ import annotations

from typing import Any

import pytest

from runstart.alerts import AlertsConfiguration, find_live_conditions
from runstart.metrics import LiveStatus

NOW = 1_700_000_000.0
CONFIGURATION = AlertsConfiguration(link="http://ui", instruments={"LOKI": {"lag_seconds": 5}})
WELL: dict[str, Any] = {
    "instrument": "SANS",
    "partition_key": "run1",
    "run_name": "SANS 1",
    "dagster_run_id": "abc",
    "written_at": NOW - 2,
    "ledger": {"missing_message_ids": 0},
    "snapshot_age_seconds": 30.0,
    "script": {"sha256": "0", "error": None},
    "collectors": {"epics": {"samples": 3, "trouble": None}},
}


def find(**changes: Any) -> list[tuple[str, str, str]]:
    found = find_live_conditions([LiveStatus.model_validate(WELL | changes)], CONFIGURATION, NOW)
    assert all(condition.link == "http://ui/runs/abc" for condition in found)
    return [(condition.kind, condition.subject, condition.text) for condition in found]


def test_a_run_that_is_well_has_no_condition() -> None:
    assert find() == []


@pytest.mark.parametrize(
    ("changes", "kind", "subject", "text"),
    [
        ({"lag_seconds": 61.0}, "lag", "", "SANS 1: counting is 61 s behind"),
        ({"ledger": {"missing_message_ids": 1234}}, "gap", "", "1,234 message ids are missing"),
        ({"snapshot_age_seconds": 301.0}, "snapshot_age", "", "newest snapshot is 301 s old"),
        ({"script": {"error": "line 7: boom"}}, "script_failing", "", "fails: line 7: boom"),
        ({"troubles": [{"kind": "script", "name": "fetch", "text": "HTTP 404"}]}, "script_failing", "", "HTTP 404"),
        ({"collectors": {"epics": {"trouble": "IOC gone"}}}, "collector_trouble", "epics", "epics: IOC gone"),
        (
            {"troubles": [{"kind": "collector", "name": "x"}]},
            "collector_trouble",
            "x",
            "collector x: is in trouble",
        ),
        ({"written_at": NOW - 121, "lag_seconds": 99.0}, "silence", "", "told nothing for 121 s"),
    ],
)
def test_each_trouble_is_a_condition(changes: dict[str, Any], kind: str, subject: str, text: str) -> None:
    [(found_kind, found_subject, found_text)] = find(**changes)
    assert (found_kind, found_subject) == (kind, subject)
    assert text in found_text


def test_limits_are_not_exceeded_by_what_equals_them() -> None:
    assert find(lag_seconds=60.0, snapshot_age_seconds=300.0) == []


def test_figures_of_a_silent_run_are_not_judged() -> None:
    assert find(written_at=NOW - 60, lag_seconds=1000.0) == []


def test_an_instrument_may_have_limits_of_its_own() -> None:
    assert [kind for kind, _, _ in find(instrument="LOKI", lag_seconds=6.0)] == ["lag"]
    assert find(lag_seconds=6.0) == []


def test_rules_turn_conditions_off() -> None:
    off = dict.fromkeys(("gap", "script_failing", "collector_trouble"), False)
    limits = dict.fromkeys(("lag_seconds", "snapshot_age_seconds", "silence_seconds"), 0)
    configuration = AlertsConfiguration.model_validate({"rules": off | limits})
    bad = {"lag_seconds": 1e6, "ledger": {"missing_message_ids": 1}, "snapshot_age_seconds": 1e6}
    worse = {"script": {"error": "x"}, "collectors": {"epics": {"trouble": "x"}}}
    statuses = [
        LiveStatus.model_validate(WELL | bad | worse),
        LiveStatus.model_validate(WELL | {"written_at": 0.0}),
    ]
    assert find_live_conditions(statuses, configuration, NOW) == []


def test_without_an_address_of_the_ui_there_is_no_link() -> None:
    [condition] = find_live_conditions(
        [LiveStatus.model_validate(WELL | {"lag_seconds": 99.0})], AlertsConfiguration(), NOW
    )
    assert condition.link == ""
