from __future__ import annotations

from typing import Any

import httpx
import pytest
from gateway_kit import FakeDagster, Wallet, make_order, open_gateway

from gateway.audit import AuditLog
from runstart.compute import JobBook, Status
from runstart.compute.announcing import announce
from runstart.storage import FileStore

COMPUTE = "/api/v1/operator/compute"


def start(client: httpx.Client, wallet: Wallet, owner: str | None = None, **changes: Any) -> str:
    answer = client.post(COMPUTE, json=make_order(wallet, owner, **changes))
    assert answer.status_code == 200, answer.text
    job_id: str = answer.json()[0]["jobId"]
    return job_id


def stop(client: httpx.Client, arguments: dict[str, Any]) -> httpx.Response:
    return client.put(COMPUTE, json=arguments)


def test_jobs_are_found_by_job_agreement_and_owner(file_store: FileStore) -> None:
    owner = Wallet()
    with open_gateway(file_store) as client:
        first, second = start(client, owner, agreementId="0xone"), start(client, owner, agreementId="0xtwo")
        by_job = client.get(COMPUTE, params=owner.signed(owner.address, first))
        by_agreement = client.get(COMPUTE, params=owner.signed(owner.address) | {"agreementId": "0xtwo"})
        by_owner = client.get(COMPUTE, params=owner.signed(owner.address))
        without_owner = client.get(COMPUTE, params=owner.signed("", first) | {"owner": ""})
    assert [status["jobId"] for status in by_job.json()] == [first]
    assert [status["jobId"] for status in by_agreement.json()] == [second]
    assert [status["jobId"] for status in by_owner.json()] == [first, second]
    assert [status["jobId"] for status in without_owner.json()] == [first]


def test_arguments_in_the_body_count_where_there_is_no_query(file_store: FileStore) -> None:
    owner = Wallet()
    with open_gateway(file_store) as client:
        job_id = start(client, owner)
        answer = client.request("GET", COMPUTE, json=owner.signed(owner.address))
        ignored = client.request("GET", COMPUTE, params={"chainId": "1"}, json=owner.signed(owner.address))
    assert [status["jobId"] for status in answer.json()] == [job_id]
    assert ignored.status_code == 400


def test_one_of_three_arguments_is_needed(file_store: FileStore) -> None:
    with open_gateway(file_store) as client:
        answer = client.get(COMPUTE, params={"nonce": "1", "owner": "x", "jobId": ""})
    assert answer.status_code == 400
    assert '"agreementId", "jobId" and "owner" is required' in answer.json()["error"]


def test_a_stranger_sees_and_stops_nothing_and_leaves_no_trace(file_store: FileStore) -> None:
    owner, stranger = Wallet(), Wallet()
    with open_gateway(file_store) as client:
        job_id = start(client, owner, agreementId="0xone")
        before = file_store.list()
        as_owner = client.get(COMPUTE, params=stranger.signed(owner.address))
        foreign = client.get(COMPUTE, params=stranger.signed(stranger.address, job_id))
        by_id = client.get(COMPUTE, params=stranger.signed("", job_id))
        by_agreement = client.get(COMPUTE, params=stranger.signed("") | {"agreementId": "0xone"})
        stops = [
            stop(client, stranger.signed(owner.address, job_id)),
            stop(client, stranger.signed(owner.address)),
            stop(client, stranger.signed(stranger.address, job_id)),
        ]
    assert as_owner.status_code == 401
    assert [answer.json() for answer in (foreign, by_id, by_agreement)] == [[], [], []]
    assert [answer.status_code for answer in stops] == [401, 401, 200]
    assert stops[-1].json() == []
    assert file_store.list() == before
    (record,) = JobBook(file_store).running()
    assert record.stopreq == 0


def test_a_signature_that_has_found_nothing_starts_and_stops_nothing_later(file_store: FileStore) -> None:
    owner = Wallet()
    with open_gateway(file_store) as client:
        signed = owner.signed(owner.address)
        assert client.get(COMPUTE, params=signed).json() == []
        order = make_order(owner) | signed
        assert client.post(COMPUTE, json=order).status_code == 400
        other_chain = owner.signed(owner.address)
        start(client, owner, chainId=5, **other_chain)
        signed = owner.signed(owner.address)
        assert client.get(COMPUTE, params=signed | {"chainId": "6"}).json() == []
        assert stop(client, signed).status_code == 400
    (record,) = JobBook(file_store).running()
    assert record.stopreq == 0


def test_of_an_owner_with_many_jobs_the_newest_are_told_and_all_that_have_not_ended(
    file_store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runstart.compute.records.MOST_OF_OWNER", 2)
    owner, book = Wallet(), JobBook(file_store)
    with open_gateway(file_store) as client:
        jobs = [start(client, owner) for _ in range(5)]
        for job_id in (*jobs[:1], *jobs[2:]):
            book.advance(job_id, Status.FINISHED)
        told = client.get(COMPUTE, params=owner.signed(owner.address)).json()
        old = client.get(COMPUTE, params=owner.signed(owner.address, jobs[0])).json()
        stopped = stop(client, owner.signed(owner.address)).json()
    assert [status["jobId"] for status in told] == [jobs[1], *jobs[3:]]
    assert [status["jobId"] for status in old] == jobs[:1]
    assert [status["jobId"] for status in stopped if status["stopreq"]] == [jobs[1]]


def test_a_signature_for_one_job_stops_no_other(file_store: FileStore) -> None:
    owner = Wallet()
    with open_gateway(file_store) as client:
        one, other = start(client, owner), start(client, owner)
        signed = owner.signed(owner.address, one)
        assert stop(client, signed | {"jobId": other}).status_code == 401
        assert stop(client, {**signed, "jobId": ""}).status_code == 401
    assert [record.stopreq for record in JobBook(file_store).running()] == [0, 0]


def test_stopping_asks_once_and_says_so(file_store: FileStore) -> None:
    owner = Wallet()
    with open_gateway(file_store) as client:
        job_id, other = start(client, owner), start(client, owner)
        signed = owner.signed(owner.address, job_id)
        answer = stop(client, signed)
        again = stop(client, signed)
    assert [(status["jobId"], status["stopreq"]) for status in answer.json()] == [(job_id, 1)]
    assert again.status_code == 400
    book = JobBook(file_store)
    assert [book.find(job_id=each)[0].stopreq for each in (job_id, other)] == [1, 0]
    days = {key.split("/")[2] for key in file_store.list("gateway/audit/")}
    entries = [entry for day in days for entry in AuditLog(file_store).list(day)]
    assert [entry["subject"] for entry in entries if entry["action"] == "compute.stop"] == [job_id]


def test_short_texts_count_as_left_out_when_stopping(file_store: FileStore) -> None:
    owner = Wallet()
    with open_gateway(file_store) as client:
        start(client, owner)
        answer = stop(client, owner.signed(owner.address) | {"jobId": "0", "agreementId": ""})
    assert [status["stopreq"] for status in answer.json()] == [1]


def test_an_administrator_stops_every_job(file_store: FileStore) -> None:
    owner, admin = Wallet(), Wallet()
    with open_gateway(file_store, allowed_admins=frozenset({admin.address.lower()})) as client:
        job_id = start(client, owner)
        answer = stop(client, admin.signed(owner.address, job_id))
        refused = client.post(COMPUTE, json=make_order(admin, owner.address))
    assert [status["stopreq"] for status in answer.json()] == [1]
    assert refused.status_code == 401


def test_a_job_that_has_ended_stays_as_it_is(file_store: FileStore) -> None:
    owner = Wallet()
    with open_gateway(file_store) as client:
        job_id = start(client, owner)
        JobBook(file_store).advance(job_id, Status.ALGORITHM_FAILED, reason="exit code 1")
        (status,) = stop(client, owner.signed(owner.address)).json()
    assert (status["status"], status["stopreq"], status["reason"]) == (41, 0, "exit code 1")
    assert float(status["dateFinished"]) > 0
    assert status["place"] is None


def test_following_and_stopping_need_no_dagster(file_store: FileStore) -> None:
    owner, dagster = Wallet(), FakeDagster()
    with open_gateway(file_store, dagster) as client:
        job_id = start(client, owner)
        dagster.is_away = True
        assert client.get(COMPUTE, params=owner.signed(owner.address)).status_code == 200
        assert stop(client, owner.signed(owner.address, job_id)).status_code == 200


@pytest.mark.parametrize("job_id", ["../../../etc/passwd", "0" * 31, "A" * 32, "compute/jobs/x", "%2e%2e%2f"])
def test_a_job_id_is_never_a_path(file_store: FileStore, job_id: str) -> None:
    owner = Wallet()
    with open_gateway(file_store) as client:
        answer = client.get(COMPUTE, params=owner.signed(owner.address, job_id))
    assert (answer.status_code, answer.json()) == (400, {"error": '"jobId" must be 32 hexadecimal digits'})


def test_running_jobs_are_listed_without_a_signature_until_they_end(file_store: FileStore) -> None:
    owner = Wallet()
    with open_gateway(file_store) as client:
        first, second = start(client, owner, chainId=5), start(client, owner)
        JobBook(file_store).advance(second, Status.STOPPED)
    with open_gateway(file_store) as client:
        (listed,) = client.get("/api/v1/operator/runningjobs").json()
    assert listed["jobId"] == first
    assert (listed["chainId"], listed["namespace"], listed["statusText"]) == (5, "ocean-compute", "Warming up")


def test_jobs_of_another_chain_are_left_out(file_store: FileStore) -> None:
    owner = Wallet()
    with open_gateway(file_store) as client:
        start(client, owner, chainId=5)
        answers = [client.get(COMPUTE, params=owner.signed(owner.address) | {"chainId": c}) for c in ("5", "6")]
    assert [len(answer.json()) for answer in answers] == [1, 0]


def test_the_place_of_waiting_jobs_is_told(file_store: FileStore) -> None:
    owner, other = Wallet(), Wallet()
    with open_gateway(file_store) as client:
        start(client, owner)
        late = start(client, owner)
        start(client, other)
    with open_gateway(file_store) as client:
        (status,) = client.get(COMPUTE, params=owner.signed(owner.address, late)).json()
    assert status["place"] == 3


def test_deleting_does_nothing(file_store: FileStore) -> None:
    with open_gateway(file_store) as client:
        answer = client.delete(COMPUTE)
    assert (answer.status_code, answer.text) == (200, '""')


def test_environments_are_announced_with_when_they_were_looked_after_last(file_store: FileStore) -> None:
    owner, path = Wallet(), "/api/v1/operator/environments"
    with open_gateway(file_store, FakeDagster(is_away=True)) as client:
        (never,) = client.get(path).json()
    with open_gateway(file_store) as client:
        start(client, owner)
    announce(file_store, ["ocean-compute"], 1_767_225_600.5)
    with open_gateway(file_store) as client:
        (seen,) = client.get(path, params={"chainId": "1"}).json()
    assert (never["lastSeen"], never["currentJobs"]) == (None, 0)
    assert (seen["lastSeen"], seen["currentJobs"]) == ("1767225600.500", 1)
    assert (seen["id"], seen["maxJobs"]) == ("ocean-compute", 10)


@pytest.mark.parametrize("chain", ["x", "-1", "1.5", "9" * 20])
def test_a_chain_that_is_none_is_refused(file_store: FileStore, chain: str) -> None:
    with open_gateway(file_store) as client:
        answer = client.get("/api/v1/operator/environments", params={"chainId": chain})
    assert (answer.status_code, answer.json()) == (400, {"error": '"chainId" must be a whole number'})
