from __future__ import annotations

import pytest
from gateway_kit import Wallet, bearer, make_order, open_gateway

from gateway.tokens import Scope
from runstart.compute import JobBook, Result, Status
from runstart.storage import FileStore

BASE = "/api/v1/operator"
ROUTES = [
    ("POST", "/pgsqlinit"),
    ("GET", "/info"),
    ("GET", "/list"),
    ("GET", "/logs?component=algorithm&jobId=" + "0" * 32),
]


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_without_a_header_the_words_of_the_reference_are_said(
    file_store: FileStore, method: str, path: str
) -> None:
    with open_gateway(file_store) as client:
        answer = client.request(method, BASE + path)
    assert (answer.status_code, answer.json()) == (400, {"error": "The header Admin is empty"})


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_an_administrators_address_alone_opens_nothing(file_store: FileStore, method: str, path: str) -> None:
    admin, stranger = Wallet(), Wallet()
    with open_gateway(file_store, allowed_admins=frozenset({admin.address.lower()})) as client:
        alone = client.request(method, BASE + path, headers={"Admin": admin.address})
        forged = stranger.signed(admin.address, "0" * 32 if "logs" in path else "")
        query = {name: forged[name] for name in ("nonce", "providerSignature")}
        address = client.build_request(method, BASE + path).url.copy_merge_params(query)
        signed = client.request(method, address, headers={"Admin": admin.address})
        unknown = client.request(method, BASE + path, headers={"Admin": stranger.address})
    assert (alone.status_code, signed.status_code, unknown.status_code) == (400, 401, 401)
    assert file_store.list() == []


def test_a_signed_request_of_an_administrator_is_answered_once(file_store: FileStore) -> None:
    admin = Wallet()
    with open_gateway(file_store, allowed_admins=frozenset({admin.address.lower()})) as client:
        arguments = admin.signed(admin.address)
        answers = [client.get(f"{BASE}/info", params=arguments, headers={"Admin": admin.address}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 400]
    assert answers[0].json()["unfinishedJobs"] == 0
    assert [each["id"] for each in answers[0].json()["environments"]] == ["ocean-compute"]


@pytest.mark.parametrize(("scope", "status"), [(Scope.READ, 403), (Scope.LAUNCH, 403), (Scope.ADMIN, 200)])
def test_bearer_tokens_need_the_scope_admin(file_store: FileStore, scope: Scope, status: int) -> None:
    with open_gateway(file_store) as client:
        headers = bearer(file_store, scope)
        answers = [client.request(method, BASE + path, headers=headers) for method, path in ROUTES[:3]]
    assert [answer.status_code for answer in answers] == [status] * 3


def test_unfinished_jobs_are_listed_in_full(file_store: FileStore) -> None:
    with open_gateway(file_store) as client:
        job_id = client.post(f"{BASE}/compute", json=make_order(Wallet())).json()[0]["jobId"]
    with open_gateway(file_store) as client:
        (status,) = client.get(f"{BASE}/list", headers=bearer(file_store, Scope.ADMIN)).json()
    assert (status["jobId"], status["place"]) == (job_id, 1)


def test_the_log_of_a_phase_is_read(file_store: FileStore) -> None:
    with open_gateway(file_store) as client:
        job_id = client.post(f"{BASE}/compute", json=make_order(Wallet())).json()[0]["jobId"]
        key = f"compute/results/{job_id}/0/algorithm.log"
        file_store.put(key, "the mean is 5 µs\n".encode())
        result = Result(
            index=0, filename="algorithm.log", filesize=18, type="algorithmLog", checksum="sha256:0", key=key
        )
        JobBook(file_store).advance(job_id, Status.FINISHED, results=(result,))
        headers = bearer(file_store, Scope.ADMIN)
        answers = [
            client.get(f"{BASE}/logs", params={"jobId": job_id, "component": each}, headers=headers)
            for each in ("algorithm", "publish", "../etc")
        ]
    assert answers[0].text == "the mean is 5 µs\n"
    assert [answer.status_code for answer in answers] == [200, 404, 400]
