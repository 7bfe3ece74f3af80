from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from gateway_kit import ENVIRONMENT, FakeDagster, Wallet, make_order, make_workflow, open_gateway

from gateway.audit import AuditLog
from runstart.compute import JobBook
from runstart.storage import FileStore

COMPUTE = "/api/v1/operator/compute"


def test_a_job_is_recorded_launched_and_answered_as_its_status(file_store: FileStore) -> None:
    owner, dagster = Wallet(), FakeDagster()
    with open_gateway(file_store, dagster) as client:
        answer = client.post(COMPUTE, json=make_order(owner))
    assert answer.status_code == 200, answer.text
    (status,) = answer.json()
    assert status["status"] == 1
    assert status["statusText"] == "Warming up"
    assert (status["results"], status["stopreq"], status["removed"], status["place"]) == ("", 0, 0, 1)
    assert float(status["dateCreated"]) > 0
    assert status["dateFinished"] is None
    assert (status["algoDID"], status["inputDID"]) == ("did:op:mean", ["did:op:data"])
    assert JobBook(file_store).get(status["jobId"]) is not None
    (run,) = dagster.runs
    assert run["jobName"] == "compute_to_data"
    assert {"key": "runstart/compute_job", "value": status["jobId"]} in run["tags"]


def test_an_allowed_provider_starts_jobs_for_any_owner(file_store: FileStore) -> None:
    owner, provider = Wallet(), Wallet()
    allowed = frozenset({provider.address.lower()})
    with open_gateway(file_store, providers_only=True, allowed_providers=allowed) as client:
        answer = client.post(COMPUTE, json=make_order(provider, owner.address))
    assert answer.status_code == 200
    record = JobBook(file_store).get(answer.json()[0]["jobId"])
    assert record is not None
    assert (record.owner, record.provider) == (owner.address, provider.address.lower())


@pytest.mark.parametrize("providers_only", [True, False])
def test_a_wrong_signer_starts_nothing_and_uses_up_no_nonce(file_store: FileStore, providers_only: bool) -> None:
    owner, stranger, dagster = Wallet(), Wallet(), FakeDagster()
    with open_gateway(file_store, dagster, providers_only=providers_only) as client:
        answer = client.post(COMPUTE, json=make_order(stranger, owner.address))
    assert (answer.status_code, answer.json()) == (
        401,
        {"error": "The signer is not allowed to act for this owner"},
    )
    assert file_store.list() == []
    assert dagster.runs == []


def test_an_owner_alone_starts_nothing_where_providers_are_required(file_store: FileStore) -> None:
    with open_gateway(file_store, providers_only=True) as client:
        assert client.post(COMPUTE, json=make_order(Wallet())).status_code == 401
    assert file_store.list() == []


def test_a_signature_without_the_nonce_in_its_text_is_of_no_use(file_store: FileStore) -> None:
    owner = Wallet()
    with open_gateway(file_store) as client:
        order = make_order(owner, providerSignature=owner.sign(owner.address))
        assert client.post(COMPUTE, json=order).status_code == 401
        order = make_order(owner) | {"nonce": owner.next_nonce()}
        assert client.post(COMPUTE, json=order).status_code == 401


def test_a_replayed_order_is_refused_with_one_text(file_store: FileStore) -> None:
    owner, dagster = Wallet(), FakeDagster()
    with open_gateway(file_store, dagster) as client:
        order = make_order(owner)
        assert client.post(COMPUTE, json=order).status_code == 200
        again = [client.post(COMPUTE, json=order | {"agreementId": f"0x{number}"}) for number in range(2)]
    assert [answer.status_code for answer in again] == [400, 400]
    assert (
        again[0].text
        == again[1].text
        == '{"error":"The nonce must be above the last one that this signer has used."}'
    )
    assert len(dagster.runs) == 1


def test_of_many_requests_with_one_nonce_at_two_gateways_one_is_taken(file_store: FileStore) -> None:
    owner, dagster = Wallet(), FakeDagster()
    signed = make_order(owner)
    orders = [signed | {"agreementId": f"0xagreement{number}"} for number in range(8)]
    together = threading.Barrier(len(orders))

    def post(client: httpx.Client, order: dict[str, Any]) -> int:
        together.wait()
        return client.post(COMPUTE, json=order).status_code

    with (
        open_gateway(file_store, dagster) as one,
        open_gateway(FileStore(file_store.root), dagster) as other,
        ThreadPoolExecutor(len(orders)) as threads,
    ):
        statuses = list(threads.map(post, [one, other] * 4, orders))
    assert sorted(statuses) == [200] + [400] * 7
    assert len(dagster.runs) == len(JobBook(file_store).running()) == 1


@pytest.mark.parametrize("name", ["workflow", "agreementId", "owner", "providerSignature", "environment", "nonce"])
def test_what_is_left_out_is_named(file_store: FileStore, name: str) -> None:
    order = make_order(Wallet())
    del order[name]
    with open_gateway(file_store) as client:
        answer = client.post(COMPUTE, json=order)
    assert (answer.status_code, answer.json()) == (
        400,
        {"error": f'"{name}" is required in the call to POST:/compute'},
    )


@pytest.mark.parametrize(
    ("workflow", "text"),
    [
        ({"chainId": 1}, "Missing stages"),
        ({}, "`workflow` is required in the payload and must include workflow stages"),
        ({"stages": make_workflow()["stages"] * 2}, "Multiple stages are not supported yet"),
        ({"stages": [{"input": [], "compute": {}, "output": {}}]}, "Missing algorithm in stage 0"),
    ],
)
def test_workflows_are_refused_in_the_words_of_the_reference(
    file_store: FileStore, workflow: dict[str, Any], text: str
) -> None:
    with open_gateway(file_store) as client:
        answer = client.post(COMPUTE, json=make_order(Wallet(), workflow=workflow))
    assert (answer.status_code, answer.json()) == (400, {"error": text})
    assert file_store.list() == []


def test_an_unknown_environment_is_refused_in_the_words_of_the_reference(file_store: FileStore) -> None:
    with open_gateway(file_store) as client:
        answer = client.post(COMPUTE, json=make_order(Wallet(), environment="elsewhere"))
    assert (answer.status_code, answer.json()) == (400, {"error": "Environment invalid or does not exist"})


def test_more_than_the_environment_offers_is_refused_with_the_reason(file_store: FileStore) -> None:
    workflow = make_workflow(compute={"maxtime": ENVIRONMENT.max_job_s + 1})
    with open_gateway(file_store) as client:
        answer = client.post(COMPUTE, json=make_order(Wallet(), workflow=workflow))
    assert answer.status_code == 400
    assert "maxtime 601" in answer.json()["error"]


def test_an_agreement_has_one_unfinished_job(file_store: FileStore) -> None:
    owner = Wallet()
    with open_gateway(file_store) as client:
        assert client.post(COMPUTE, json=make_order(owner, agreementId="0xone")).status_code == 200
        answer = client.post(COMPUTE, json=make_order(owner, agreementId="0xone"))
    assert (answer.status_code, answer.json()) == (
        400,
        {"error": "agreementId already used by an unfinished job"},
    )


@pytest.mark.parametrize("fault", ["is_away", "hangs"])
def test_without_dagster_nothing_is_done_and_the_nonce_stays_good(file_store: FileStore, fault: str) -> None:
    dagster = FakeDagster()
    with open_gateway(file_store, dagster, timeout_s=0.5) as client:
        order = make_order(Wallet())
        setattr(dagster, fault, True)
        answer = client.post(COMPUTE, json=order)
        assert (answer.status_code, answer.json()) == (503, {"error": "Dagster does not answer. Try again."})
        assert int(answer.headers["Retry-After"]) > 0
        assert file_store.list() == []
        setattr(dagster, fault, False)
        assert client.post(COMPUTE, json=order).status_code == 200


def test_a_launch_that_breaks_leaves_the_job_to_the_sensor(file_store: FileStore) -> None:
    dagster = FakeDagster(breaks_after_launch=True)
    with open_gateway(file_store, dagster) as client:
        answer = client.post(COMPUTE, json=make_order(Wallet()))
    assert answer.status_code == 200
    assert [record.job_id for record in JobBook(file_store).running()] == [answer.json()[0]["jobId"]]


def test_the_audit_log_tells_who_started_what_and_no_signature(file_store: FileStore) -> None:
    owner = Wallet()
    with open_gateway(file_store) as client:
        order = make_order(owner)
        job_id = client.post(COMPUTE, json=order).json()[0]["jobId"]
    (key,) = file_store.list("gateway/audit/")
    (entry,) = AuditLog(file_store).list(key.split("/")[2])
    assert (entry["who"], entry["action"], entry["subject"]) == (owner.address.lower(), "compute.start", job_id)
    assert order["providerSignature"] not in str(entry)


def test_the_audit_log_tells_what_was_refused_after_its_nonce_was_taken(file_store: FileStore) -> None:
    owner = Wallet()
    with open_gateway(file_store) as client:
        for _ in range(2):
            client.post(COMPUTE, json=make_order(owner, agreementId="0xone"))
    days = {key.split("/")[2] for key in file_store.list("gateway/audit/")}
    entries = [entry for day in sorted(days) for entry in AuditLog(file_store).list(day)]
    assert [entry["action"] for entry in entries] == ["compute.start", "compute.start", "compute.refused"]
    assert entries[2]["subject"] == entries[1]["subject"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"not json",
        b"[]",
        b'{"owner": NaN}',
        b"[" * 100_000,
        b'{"owner": "\\ud800"}',
        b"\xff",
        b"1" * 5000,
    ],
)
def test_bodies_that_are_no_orders_are_refused(file_store: FileStore, body: bytes) -> None:
    with open_gateway(file_store) as client:
        answer = client.post(COMPUTE, content=body)
    assert answer.status_code == 400
    assert list(answer.json()) == ["error"]
    assert answer.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    "changes",
    [
        {"owner": "somebody"},
        {"owner": 5},
        {"owner": "0x" + "g" * 40},
        {"nonce": "-1"},
        {"nonce": "1e5"},
        {"nonce": "9" * 20},
        {"nonce": True},
        {"nonce": ["1"]},
        {"providerSignature": "0x00"},
        {"providerSignature": 7},
        {"agreementId": "a\nb"},
        {"agreementId": "x" * 201},
        {"agreementId": "1"},
        {"environment": ["ocean-compute"]},
        {"environment": "../../etc"},
        {"chainId": "one"},
        {"chainId": 1.5},
        {"workflow": "stages"},
        {"workflow": make_workflow(algorithm={"id": "../../x", "container": {"image": "a", "entrypoint": "b"}})},
        {"workflow": make_workflow(input=[{"id": "did:op:a/../b", "url": ["https://x.org/y"]}])},
    ],
)
def test_arguments_of_another_form_are_refused(file_store: FileStore, changes: dict[str, Any]) -> None:
    with open_gateway(file_store) as client:
        answer = client.post(COMPUTE, json=make_order(Wallet()) | changes)
    assert answer.status_code == 400, answer.text
    assert list(answer.json()) == ["error"]
    assert file_store.list() == []
