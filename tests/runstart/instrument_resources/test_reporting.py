from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from instrument_tables import make_resource
from jsonschema import Draft4Validator
from live_status_kit import make_status as make_live_status
from live_status_kit import put_status

from runstart.instrument_resources import make_crd
from runstart.instrument_resources.api import Rollout
from runstart.instrument_resources.dagster_view import DagsterView, RunView, SensorView
from runstart.instrument_resources.deciding import Decision, Refusal, decide
from runstart.instrument_resources.figures import Figures, read_figures
from runstart.instrument_resources.reporting import Known, differs, make_status
from runstart.instrument_resources.text import read_base
from runstart.live.finished import note_finished
from runstart.metrics.live_status import LiveStatus
from runstart.storage import ObjectStore

NOW = 1_800_000_000.0
OLD, NEW = "20270115T080000.000Z_one", "20270115T090000.000Z_two"
ON = DagsterView({"run_starts": SensorView(True)})
KNOWN = Known("d" * 64, Rollout("d" * 64, done=True), Figures(), ON, NOW)
SCHEMA = make_crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]


def report(
    known: Known, refusal: Refusal | None = None, *, written: dict[str, Any] | None = None, **changes: Any
) -> dict[str, Any]:
    resource = replace(make_resource(**changes), status=written or {})
    decision = decided(**changes)
    status = make_status(resource, decision.placed.get(resource.uid), refusal, known)
    given = {name: value for name, value in status.items() if value is not None}
    Draft4Validator(SCHEMA).validate(given)
    assert given.keys() <= SCHEMA["properties"].keys()
    return status


def decided(**changes: Any) -> Decision:
    return decide(read_base(None, {"RUNSTART_KAFKA": "a:1"}), [make_resource(**changes)], {})


def live(**changes: Any) -> LiveStatus:
    given = {"written_at": NOW - 2, "partition_key": NEW, "run_name": "two", "troubles": [], "collectors": {}}
    ledger = {"missing_message_ids": 0}
    return LiveStatus.model_validate(make_live_status("SANS", **(given | {"ledger": ledger} | changes)))


def ready(status: dict[str, Any]) -> tuple[str, str]:
    (condition,) = status["conditions"]
    return condition["status"], condition["reason"]


def test_what_is_in_force_and_loaded_is_ready() -> None:
    status = report(KNOWN)
    assert ready(status) == ("True", "InForce")
    assert (status["sensor"], status["topic"], status["instrument"]) == ("On", "default/SANS_events", "SANS")
    assert (status["observedGeneration"], status["generationInForce"], status["error"]) == (1, 1, None)


@pytest.mark.parametrize(
    ("rollout", "expected"),
    [
        (Rollout("", done=True), ("False", "Loading")),
        (Rollout("d" * 64, done=False), ("False", "Loading")),
        (Rollout("d" * 64, done=False, trouble="quota exceeded"), ("False", "CodeLocationStuck")),
        ("There is no deployment.", ("Unknown", "CodeLocationUnknown")),
    ],
)
def test_a_version_is_not_ready_before_the_code_location_reads_it(rollout: Rollout | str, expected: object) -> None:
    assert ready(report(replace(KNOWN, rollout=rollout))) == expected


def test_a_refusal_says_what_stays_in_force() -> None:
    status = report(KNOWN, Refusal("Invalid", "spec.grace: -1 is too small."))
    assert ready(status) == ("False", "Invalid")
    assert "(generation 1) stays in force" in status["conditions"][0]["message"]
    nothing = report(KNOWN, Refusal("Invalid", "spec.grace: -1 is too small."), grace=-1)
    assert "No version of it is in force" in nothing["conditions"][0]["message"]
    assert (nothing["sensor"], nothing["topic"]) == ("Absent", None)


def test_while_all_is_blocked_what_was_written_stays() -> None:
    written = report(replace(KNOWN, figures=Figures({"SANS": live()})))
    blocked = make_status(replace(make_resource(), status=written), None, Refusal("Blocked", "No base."), KNOWN)
    assert blocked.keys() == {"observedGeneration", "instrument", "conditions"}
    assert ready(blocked) == ("False", "Blocked")


@pytest.mark.parametrize(
    ("view", "changes", "sensor", "error"),
    [
        (ON, {"live_reduction": False}, "Off", None),
        (DagsterView({"run_starts": SensorView(False)}), {}, "Off", None),
        (DagsterView({"run_starts": SensorView(True, "no broker")}), {}, "Failing", "Sensor run_starts: no broker"),
        (DagsterView(), {}, "Absent", "Dagster has no sensor run_starts."),
        (DagsterView(load_error="bad file"), {}, "Absent", "The code location: bad file"),
        ("No answer.", {}, "Unknown", "No answer."),
        ("", {}, "Unknown", None),
    ],
)
def test_the_sensor_is_told(
    view: DagsterView | str, changes: dict[str, Any], sensor: str, error: str | None
) -> None:
    status = report(replace(KNOWN, dagster=view), **changes)
    assert (status["sensor"], status["error"]) == (sensor, error)


def test_a_live_run_is_told_with_snapshot_and_lag() -> None:
    status = report(replace(KNOWN, figures=Figures({"SANS": live()}, {"SANS": OLD})))
    assert status["lastRun"] == {"name": "two", "key": NEW, "state": "Counting"}
    assert (status["lag"], status["lastSnapshot"]) == (1.2, "2027-01-15T07:59:46Z")
    assert status["error"] is None


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("QUEUED", "Queued"),
        ("STARTED", "Starting"),
        ("SUCCESS", "Finished"),
        ("FAILURE", "Failed"),
        ("CANCELED", "Canceled"),
    ],
)
def test_a_run_that_tells_nothing_has_the_state_that_dagster_knows(status: str, state: str) -> None:
    view = replace(ON, runs={"SANS": RunView("r-1", status, NEW, "two")})
    told = report(replace(KNOWN, dagster=view, figures=Figures({}, {"SANS": OLD})))
    assert told["lastRun"] == {"name": "two", "key": NEW, "state": state}
    assert (told["error"] is not None) == (status == "FAILURE")


def test_a_silent_run_is_told_without_its_old_figures() -> None:
    status = report(replace(KNOWN, figures=Figures({"SANS": live(written_at=NOW - 200)})))
    assert (status["lastRun"]["state"], status["lag"]) == ("Silent", None)
    assert "has told nothing for 200 s" in status["error"]


def test_what_alerts_would_tell_is_the_error() -> None:
    status = report(replace(KNOWN, figures=Figures({"SANS": live(lag_seconds=90.0)})))
    assert status["error"] == "SANS two: counting is 90 s behind, more than the limit of 60 s."


def test_a_store_that_does_not_answer_leaves_the_last_run_as_it_was() -> None:
    written = report(replace(KNOWN, figures=Figures({"SANS": live()})))
    status = report(replace(KNOWN, figures="No answer from S3."), written=written)
    assert (status["lastRun"], status["lastSnapshot"]) == (written["lastRun"], written["lastSnapshot"])
    assert (status["lag"], status["error"]) == (None, "No answer from S3.")


def test_the_time_of_a_condition_changes_with_its_status_alone() -> None:
    written = report(replace(KNOWN, rollout=Rollout("", done=False)))
    stuck = report(replace(KNOWN, now=NOW + 9, rollout=Rollout("d" * 64, False, "quota")), written=written)
    assert stuck["conditions"][0]["lastTransitionTime"] == written["conditions"][0]["lastTransitionTime"]
    loaded = report(replace(KNOWN, now=NOW + 9), written=written)
    assert loaded["conditions"][0]["lastTransitionTime"] > written["conditions"][0]["lastTransitionTime"]


def test_a_status_that_says_the_same_differs_not() -> None:
    written = {name: value for name, value in report(KNOWN).items() if value is not None}
    assert not differs(report(KNOWN, written=written), written)
    assert differs(report(KNOWN, written=written), written | {"error": "something"})


def test_figures_are_those_of_the_newest_run(store: ObjectStore) -> None:
    for key in (OLD, NEW):
        put_status(store, make_live_status("SANS", key))
        note_finished(store, "LOQ", key)
    put_status(store, make_live_status("OTHER", NEW))
    figures = read_figures(store, ["SANS", "LOQ"])
    assert {name: status.partition_key for name, status in figures.live.items()} == {"SANS": NEW}
    assert figures.finished == {"LOQ": NEW}
