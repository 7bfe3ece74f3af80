"""Runs whose pods end: their state in Dagster, what is told of them, whether they are retried, and what is left."""

from __future__ import annotations

import json
from typing import Any

import dagster as dg
import pytest
from dagster._core.test_utils import create_run_for_test
from fake_kubernetes import FakeKubernetes

from resources.pods import PodSettings, RunPods
from resources.pods.run_pods import DOUBLINGS_TAG
from runstart.errors import Alert
from runstart.pod_ends import Patience

STARTED, STARTING = dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING
FAILURE, CANCELED = dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED
CONFIG_TAG = "dagster-k8s/config"


class Place:
    """Runs, and the pods that a test gives them."""

    def __init__(self, instance: dg.DagsterInstance, **settings: Any) -> None:
        self.api = FakeKubernetes(lines="the last line")
        self.instance = instance
        self.pods = RunPods(instance, self.api, self.api, "runstart", PodSettings(**settings))  # type: ignore[arg-type]

    def run(self, pod: str | None, status: dg.DagsterRunStatus = STARTED, **tags: str) -> dg.DagsterRun:
        run = create_run_for_test(self.instance, "a_job", status=status, tags=tags)
        if pod is not None:
            labels = {"dagster__run-id": run.run_id, "app.kubernetes.io__component": "run_worker"}
            self.api.put(pod, f"dagster-run-{run.run_id}", **labels)
        return run

    def step(self, run: dg.DagsterRun, pod: str = "running") -> None:
        labels = {"dagster__run-id": run.run_id, "app.kubernetes.io__component": "step_worker"}
        self.api.put(pod, f"dagster-step-{run.run_id}", **labels)

    def now(self, run: dg.DagsterRun) -> dg.DagsterRun:
        found = self.instance.get_run_by_id(run.run_id)
        assert found is not None
        return found

    def messages(self, run: dg.DagsterRun) -> list[str]:
        return [e.dagster_event.message or "" for e in self.instance.all_logs(run.run_id) if e.dagster_event]


@pytest.fixture
def place(instance: dg.DagsterInstance) -> Place:
    instance.wipe()
    return Place(instance)


ENDS = {
    "deleted, gone": ("deleted", "true"),
    "evicted, going": ("evicted", "true"),
    "node silent": ("node lost", "true"),
    "exited with 4": ("exit", "true"),
    "image never pulled": ("image pull", "false"),
    "registry away": ("image pull", "true"),
    "init failure": ("init failure", "false"),
    "unschedulable": ("unschedulable", "false"),
    "volume missing": ("failed start", "false"),
    "priority class missing": ("failed start", "false"),
    "job past its deadline": ("deadline", "false"),
}


@pytest.mark.parametrize("recorded", ENDS)
def test_run_that_has_started_fails_by_the_name_of_its_pods_end(place: Place, recorded: str) -> None:
    run = place.run(recorded)
    end = place.pods.find_end(run)
    name, will_retry = ENDS[recorded]

    assert end is not None
    assert place.now(run).status is FAILURE
    assert place.now(run).tags["dagster/will_retry"] == will_retry
    assert any(f"The pod of this run ended: {name}. " in text for text in place.messages(run))
    assert (place.api.jobs, place.api.pods) == ({}, {})


@pytest.mark.parametrize(
    "recorded", ["image never pulled", "init failure", "unschedulable", "priority class missing"]
)
def test_run_that_will_never_start_fails_too(place: Place, recorded: str) -> None:
    run = place.run(recorded, STARTING)
    (done,) = place.pods.look_after(set())

    assert ENDS[recorded][0] in done
    assert place.now(run).status is FAILURE
    assert place.now(run).tags["dagster/will_retry"] == "false"
    assert place.api.jobs == {}


def test_run_that_a_person_does_again_is_retried_as_others(place: Place) -> None:
    run = place.run("image never pulled")
    place.pods.find_end(run)

    assert place.now(run).tags["dagster/max_retries"] == "5"


def test_last_lines_of_a_pod_are_kept(place: Place) -> None:
    run = place.run("exited with 4")
    place.pods.find_end(run)

    assert any(text.endswith("Its last lines:\nthe last line") for text in place.messages(run))


def test_run_whose_pod_runs_goes_on(place: Place) -> None:
    run = place.run("running")
    place.step(run)

    assert place.pods.find_end(run) is None
    assert place.pods.look_after(set()) == []
    assert place.now(run).status is STARTED
    assert len(place.api.jobs) == 2


def test_process_that_was_told_to_go_and_did_so_in_order_was_deleted(place: Place) -> None:
    run = place.run("exited with 0")
    place.api.pods.clear()
    end = place.pods.find_end(run)

    assert end is not None
    assert end.name == "deleted"
    assert place.now(run).tags["dagster/will_retry"] == "true"


def test_run_that_ends_while_its_pod_is_looked_at_is_left_alone(place: Place) -> None:
    run = place.run("exited with 0")
    place.instance.report_run_failed(run, "It said so itself.")

    assert place.pods.find_end(run) is None
    assert not any("The pod of this run" in text for text in place.messages(run))


def test_memory_is_doubled_for_the_retry_and_for_its_own(place: Place) -> None:
    first = place.run(
        "out of memory", **{CONFIG_TAG: json.dumps({"pod_spec_config": {"node_selector": {"a": "b"}}})}
    )
    place.pods.find_end(first)
    tags = place.now(first).tags
    config = json.loads(tags[CONFIG_TAG])

    assert config["container_config"]["resources"]["limits"] == {"memory": "128Mi"}
    assert config["pod_spec_config"] == {"node_selector": {"a": "b"}}
    assert (tags[DOUBLINGS_TAG], tags["dagster/will_retry"]) == ("1", "true")


def test_run_gets_no_more_memory_than_four_times_what_it_asked_for(place: Place) -> None:
    run = place.run("out of memory", **{DOUBLINGS_TAG: "2"})
    place.pods.find_end(run)

    assert place.now(run).tags["dagster/will_retry"] == "false"
    assert any("raise what it asks for" in text for text in place.messages(run))


def test_run_without_a_limit_is_retried_as_it_is(place: Place) -> None:
    run = place.run("out of memory")
    for pod in place.api.pods.values():
        pod["spec"]["containers"][0]["resources"] = {}
    place.pods.find_end(run)

    assert place.now(run).tags["dagster/will_retry"] == "true"
    assert CONFIG_TAG not in place.now(run).tags


def test_what_a_run_waits_for_is_told_once(instance: dg.DagsterInstance) -> None:
    instance.wipe()
    place = Place(instance, patience=Patience(10**9, 10**9))
    run = place.run("unschedulable", STARTING)
    told: set[str] = set()
    place.pods.look_after(told)
    place.pods.look_after(told)

    assert place.now(run).status is STARTING
    (said,) = (text for text in place.messages(run) if "The pod of this run waits" in text)
    assert "Insufficient cpu" in said
    assert told == {run.run_id}

    place.instance.report_run_canceled(run)
    place.pods.look_after(told)
    assert told == set()


def test_run_that_is_just_being_started_has_time_to_get_its_job(place: Place) -> None:
    run = place.run(None, STARTING)
    assert place.pods.look_after(set()) == []
    assert place.now(run).status is STARTING


def test_run_that_was_stopped_before_it_started_is_canceled(place: Place) -> None:
    run = place.run(None, dg.DagsterRunStatus.CANCELING)
    place.pods.look_after(set())

    assert place.now(run).status is CANCELED


def test_run_that_is_stopped_has_time_to_say_so_itself(place: Place) -> None:
    run = place.run("deleted, going", dg.DagsterRunStatus.CANCELING)
    place.pods.look_after(set())

    assert place.now(run).status is dg.DagsterRunStatus.CANCELING


def test_jobs_of_runs_that_have_ended_are_removed_and_no_others(place: Place) -> None:
    ended, going = place.run("exited with 0", dg.DagsterRunStatus.SUCCESS), place.run("running")
    place.step(ended, "exited with 4")
    forgotten = place.run("exited with 0")
    place.instance.delete_run(forgotten.run_id)
    place.api.put("running", "somebody-elses")
    done = place.pods.look_after(set())

    assert len(done) == 3
    assert set(place.api.jobs) == {f"dagster-run-{going.run_id}", "somebody-elses"}


def test_process_of_a_run_that_has_just_ended_may_end_by_itself(place: Place) -> None:
    place.run("running", dg.DagsterRunStatus.SUCCESS)

    assert place.pods.look_after(set()) == []
    assert len(place.api.jobs) == 1


def test_steps_of_a_run_are_removed(place: Place) -> None:
    run = place.run("running")
    place.step(run)
    place.pods.remove_steps(run.run_id)

    assert set(place.api.jobs) == {f"dagster-run-{run.run_id}"}


def drop_retry(place: Place, run: dg.DagsterRun) -> None:
    """Do as Dagster does when it cannot start a retry."""
    place.instance.add_run_tags(run.run_id, {"dagster/will_retry": "false"})


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resources.pods.run_pods.AGAIN_SECONDS", -1.0)


@pytest.mark.usefixtures("at_once")
def test_retry_that_dagster_has_dropped_is_asked_for_again(place: Place) -> None:
    run = place.run("evicted, gone")
    place.pods.find_end(run)
    drop_retry(place, run)
    (done,) = place.pods.look_after(set())

    assert run.run_id in done
    assert place.now(run).tags["dagster/will_retry"] == "true"
    assert place.pods.look_after(set()) == [], "asked for once"


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("recorded", ["image never pulled", "job past its deadline"])
def test_retry_that_was_not_wanted_is_not_asked_for(place: Place, recorded: str) -> None:
    run = place.run(recorded)
    place.pods.find_end(run)

    assert place.pods.look_after(set()) == []
    assert place.now(run).tags["dagster/will_retry"] == "false"


@pytest.mark.usefixtures("at_once")
def test_retry_is_not_asked_for_beyond_the_last(place: Place) -> None:
    run = place.run("evicted, gone", **{"dagster/max_retries": "0"})
    place.pods.find_end(run)

    assert place.now(run).tags["dagster/will_retry"] == "false"
    assert place.pods.look_after(set()) == []


def test_retry_that_has_just_been_promised_is_left_to_dagster(place: Place) -> None:
    run = place.run("evicted, gone")
    place.pods.find_end(run)
    drop_retry(place, run)

    assert place.pods.look_after(set()) == []


@pytest.mark.usefixtures("at_once")
def test_retry_of_a_run_is_not_taken_for_it(place: Place) -> None:
    run = place.run("evicted, gone")
    place.pods.find_end(run)
    inherited = {"runstart/pod_end_passes": place.now(run).tags["runstart/pod_end_passes"]}
    retry = place.run(None, FAILURE, **inherited)
    drop_retry(place, retry)

    assert place.pods.look_after(set()) == []


@pytest.mark.parametrize("text", ["soon", "0", "inf", "nan", "-5"])
def test_time_that_pods_may_wait_is_checked(text: str) -> None:
    with pytest.raises(Alert, match="RUNSTART_POD_PENDING_S"):
        PodSettings.from_environment({"RUNSTART_POD_PENDING_S": text})


def test_settings_are_those_of_the_environment() -> None:
    environ = {"RUNSTART_POD_PENDING_S": "60", "RUNSTART_POD_MEMORY_LIMIT": "64GiB"}
    assert PodSettings.from_environment(environ) == PodSettings(Patience(60.0, 3600.0), 64 * 2**30)
    assert PodSettings.from_environment({}) == PodSettings()
