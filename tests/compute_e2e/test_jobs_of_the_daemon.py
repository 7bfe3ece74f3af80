"""Compute jobs from their order to their end, with everything real in between: beside each other, stopped, killed."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor

import dagster as dg
import pytest
from compute_house import ComputeHouse
from compute_kit import IMAGE, workflow_payload
from recorded_spectrum import Recorded, check_mean_spectrum
from waiting import let_pass, wait_until

from runstart.compute import FINAL, JobRecord, Status
from runstart.compute.records import RESULTS

pytestmark = [pytest.mark.real, pytest.mark.faults, pytest.mark.timeout(700)]

SLEEPS = "import time; print('began', flush=True); time.sleep(500)"
WRITES = "import os; open(os.environ['OUTPUTS'] + '/out.txt', 'w').write('result')"
PLACES = 4


def test_a_plain_process_makes_the_mean_spectrum_that_numpy_makes(house: ComputeHouse, recorded: Recorded) -> None:
    check_mean_spectrum(house, recorded, IMAGE)


def test_a_job_whose_gateway_died_before_the_launch_is_launched_once_and_finishes(house: ComputeHouse) -> None:
    job_id = house.owners.order(workflow_payload(WRITES)).job_id
    ended = house.end_of(job_id)
    assert ended.status is Status.FINISHED
    assert house.owners.results(ended)["out.txt"] == b"result"
    (run,) = house.runs_of(job_id)
    assert run.run_id == ended.run_id
    assert run.tags["runstart/compute_environment"] == "beamline"


def test_a_run_that_is_terminated_in_the_ui_is_a_job_that_was_stopped(house: ComputeHouse) -> None:
    job_id = house.client().start(workflow_payload(SLEEPS))
    run_id = house.wait_for(job_id, Status.RUNNING_ALGORITHM).run_id
    house.instance.run_launcher.terminate(run_id)
    ended = house.end_of(job_id)
    assert (ended.status, ended.reason) == (Status.STOPPED, "Its run was terminated.")
    wait_until(lambda: house.runs_of(job_id)[0].status is dg.DagsterRunStatus.CANCELED, "the canceled run", 30)


def test_a_run_that_is_killed_ends_its_job_in_the_state_of_its_phase(house: ComputeHouse) -> None:
    job_id = house.client().start(workflow_payload(SLEEPS))
    record = house.wait_for(job_id, Status.RUNNING_ALGORITHM)
    wait_until(lambda: len(house.owners.left_on_machine(record)) > 1, "its folder and task", 30)
    house.kill_run(job_id)
    ended = house.end_of(job_id)
    assert ended.status is Status.ALGORITHM_FAILED
    assert "ended before it" in ended.reason
    assert ended.results == ()
    assert len(house.runs_of(job_id)) == 1, "a job is not tried again"


def test_twenty_jobs_on_four_places_run_once_each_and_owners_take_turns(house: ComputeHouse) -> None:
    many, few = house.client(), house.client()
    blocking = [many.start(workflow_payload(SLEEPS)) for _ in range(PLACES)]
    for job_id in blocking:
        house.wait_for(job_id, Status.RUNNING_ALGORITHM)
    theirs = [many.start(workflow_payload(WRITES)) for _ in range(13)]
    others = [few.start(workflow_payload(WRITES)) for _ in range(3)]
    places = dict(zip((*blocking, *theirs, *others), [None] * PLACES + [*range(4, 17), 1, 2, 3], strict=True))

    def shows_places() -> bool:
        return places == {job["jobId"]: job["place"] for job in (*many.follow(), *few.follow())}

    wait_until(shows_places, "the places of all, of which the gateway may be a second late", 30, 0.5)
    for job_id in (theirs[-1], *blocking):
        many.stop(job_id)

    ended = {job_id: house.end_of(job_id, 500) for job_id in places}
    assert {ended[job_id].status for job_id in blocking} == {Status.STOPPED}
    assert (ended[theirs[-1]].status, ended[theirs[-1]].run_id) == (Status.STOPPED, ""), "it never began"
    finished = [ended[job_id] for job_id in (*theirs[:-1], *others)]
    assert {record.status for record in finished} == {Status.FINISHED}
    assert len({record.run_id for record in finished}) == len(finished)
    assert _most_at_once([record for record in ended.values() if record.run_id]) == PLACES
    began = [record.job_id for record in sorted(finished, key=lambda record: record.history[1].at)]
    assert max(map(began.index, others)) < 2 * PLACES, "three jobs do not wait behind another owner's twelve"
    for client in (many, few):
        for job in client.follow():
            assert job["status"] == ended[job["jobId"]].status
            assert client.seen[job["jobId"]] == sorted(client.seen[job["jobId"]])


def test_whatever_is_killed_at_any_instant_each_job_ends_once_with_results_whole_or_absent(
    house: ComputeHouse,
) -> None:
    chance = random.Random(8)
    clients = [house.client() for _ in range(8)]
    workflow = workflow_payload(WRITES + "; import time; time.sleep(1)")
    with ThreadPoolExecutor(len(clients)) as threads:
        ordering = [threads.submit(client.start, workflow) for client in clients]
        for what in ("gateway", "run", "run", "gateway", "run", "everything", "gateway", "run"):
            let_pass(chance.uniform(0.0, 3.0))
            _kill(house, what, chance)
        job_ids = [order.result() for order in ordering]
    ends = {job_id: house.end_of(job_id) for job_id in job_ids}
    for client, job_id in zip(clients, job_ids, strict=True):
        (job,) = client.follow()
        ended = ends[job_id]
        assert job["status"] == ended.status
        assert ended.status in FINAL
        assert house.read(job_id) == ended, "it ends once"
        results = client.results(job)
        assert ("out.txt" in results) == (ended.status is Status.FINISHED)
        assert set(house.store.list(f"{RESULTS}/{job_id}/")) == {each.key for each in ended.results}
        assert all(data == b"result" for name, data in results.items() if name == "out.txt")
    assert Status.FINISHED in {ended.status for ended in ends.values()}, "not everything was killed"
    assert list(house.owners.root.iterdir()) == []


def _kill(house: ComputeHouse, what: str, chance: random.Random) -> None:
    """Kill a part of the house with SIGKILL, and start again what does not start by itself."""
    running = [record for record in house.owners.book.running() if record.run_id]
    if what == "run" and running:
        house.kill_run(chance.choice(running).job_id)
    if what == "everything":
        house.kill()  # the daemon with its runs
    if what in ("gateway", "everything"):
        house.kill_gateway()
        house.start_gateway()
    if what == "everything":
        house.start()


def _most_at_once(records: list[JobRecord]) -> int:
    """Return how many of these jobs had a place at the same instant."""
    changes = [(record.history[1].at, 1) for record in records]
    changes += [(record.finished_at or 0.0, -1) for record in records]
    most = now = 0
    for _, change in sorted(changes):
        now += change
        most = max(most, now)
    return most
