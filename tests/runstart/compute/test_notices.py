"""Ocean's notices: one when a job starts and one when it has ended, and nothing hangs on them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from alert_sinks import HttpSink, http_sink
from compute_kit import DATA_ID, DATA_KEY, Owners, input_of, workflow_payload

from runstart.compute import JobRecord, Status
from runstart.compute.looking_after import end_dead_job
from runstart.compute.notices import Notices

TELLS = "import os; open(os.environ['OUTPUTS'] + '/secret', 'w').write(os.environ['secret'])"


@pytest.fixture
def owners(tmp_path: Path) -> Owners:
    return Owners(tmp_path)


def notices_to(sink: HttpSink) -> Notices:
    return Notices.from_environment(
        {"NOTIFY_START_URL": f"{sink.url}/start ", "NOTIFY_STOP_URL": f"{sink.url}/stop"}
    )


def run(owners: Owners, record: JobRecord, notices: Notices) -> list[str]:
    """Carry a job out, and return what was told of it."""
    told: list[str] = []
    job = replace(owners.job(record), notices=notices, tell=told.append)
    job.begin("run")
    for phase in (job.provision, job.run_algorithm, job.filter, job.publish):
        phase()
    return told


def test_start_and_end_are_posted_with_the_secret_that_the_algorithm_has(owners: Owners) -> None:
    owners.store.put(DATA_KEY, b"data")
    record = owners.order(workflow_payload(TELLS, input=[input_of(f"store:{DATA_KEY}")]))
    with http_sink() as sink:
        assert run(owners, record, notices_to(sink)) == []
    secret = owners.results(owners.read(record))["secret"].decode()
    assert len(secret) == 32
    body = {"algoDID": "raw", "jobId": record.job_id, "secret": secret, "DID": [DATA_ID]}
    assert sink.bodies == [body, body]
    other = owners.order(workflow_payload(TELLS))
    assert other.secret != secret
    assert secret not in repr(owners.read(record))
    results = owners.results(owners.read(record))
    assert not any(secret.encode() in data for name, data in results.items() if name != "secret")


def test_a_notice_that_fails_is_told_without_its_address_and_changes_nothing(owners: Owners) -> None:
    record = owners.order(workflow_payload(TELLS))
    with http_sink(answers=[500, 302]) as sink:
        told = run(owners, record, notices_to(sink))
    assert told == [
        "The address of NOTIFY_START_URL answers with HTTP status 500.",
        "The address of NOTIFY_STOP_URL answers with HTTP status 302.",
    ]
    assert sink.bodies == []
    assert owners.read(record).status is Status.FINISHED
    (one, two) = run(owners, owners.order(workflow_payload(TELLS)), Notices("http://secret@[", sink.url))
    assert one == "The address of NOTIFY_START_URL cannot be reached (InvalidURL)."
    assert two == "The address of NOTIFY_STOP_URL cannot be reached (ConnectionError)."


def test_the_end_is_told_by_whoever_has_written_it_and_once(owners: Owners) -> None:
    record = owners.order(workflow_payload())
    with http_sink() as sink:
        for _ in range(2):
            ended = end_dead_job(
                owners.book, record, "Its run is gone.", was_stopped=False, notices=notices_to(sink)
            )
    assert ended.status is Status.DATA_PROVISIONING_FAILED
    assert [body["jobId"] for body in sink.bodies] == [record.job_id]
