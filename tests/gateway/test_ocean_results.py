from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from gateway_kit import Wallet, make_order, open_gateway

from runstart.compute import JobBook, Result, Status
from runstart.storage import FileStore

COMPUTE, RESULT = "/api/v1/operator/compute", "/api/v1/operator/getResult"
DATA = bytes(range(256)) * 4


@dataclass
class Finished:
    """A job that has ended, and those who ask for its results."""

    store: FileStore
    owner: Wallet = field(default_factory=Wallet)
    provider: Wallet = field(default_factory=Wallet)
    other_provider: Wallet = field(default_factory=Wallet)
    job_id: str = ""

    @property
    def settings(self) -> dict[str, Any]:
        addresses = {self.provider.address.lower(), self.other_provider.address.lower()}
        return {"allowed_providers": frozenset(addresses)}

    def finish(self, data: bytes = DATA, name: str = "spectrum.dat") -> None:
        """Start a job by the provider, and end it with one result."""
        with open_gateway(self.store, **self.settings) as client:
            answer = client.post(COMPUTE, json=make_order(self.provider, self.owner.address))
        self.job_id = answer.json()[0]["jobId"]
        key = f"compute/results/{self.job_id}/0/spectrum.dat"
        self.store.put(key, data)
        checksum = f"sha256:{hashlib.sha256(data).hexdigest()}"
        result = Result(index=0, filename=name, filesize=len(data), type="output", checksum=checksum, key=key)
        JobBook(self.store).advance(self.job_id, Status.FINISHED, results=(result,))

    def fetch(
        self, client: httpx.Client, by: Wallet | None = None, index: object = 0, **headers: str
    ) -> httpx.Response:
        """Ask for a result, signed by the owner unless told."""
        signer = self.owner if by is None else by
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return client.get(
            RESULT, params=signer.signed(self.owner.address, self.job_id) | {"index": index}, headers=named
        )


@pytest.fixture
def finished(file_store: FileStore) -> Finished:
    job = Finished(file_store)
    job.finish()
    return job


def test_owner_and_provider_get_the_stored_bytes(finished: Finished) -> None:
    with open_gateway(finished.store, **finished.settings) as client:
        answers = [finished.fetch(client), finished.fetch(client, finished.provider)]
    for answer in answers:
        assert (answer.status_code, answer.content) == (200, DATA)
        assert answer.headers["Content-Type"] == "application/octet-stream"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Content-Disposition"].startswith('attachment; filename="spectrum.dat"')
        assert answer.headers["Accept-Ranges"] == "bytes"


def test_the_status_lists_results_without_addresses(finished: Finished) -> None:
    with open_gateway(finished.store) as client:
        (status,) = client.get(COMPUTE, params=finished.owner.signed(finished.owner.address)).json()
    checksum = f"sha256:{hashlib.sha256(DATA).hexdigest()}"
    assert status["results"] == [
        {"index": 0, "filename": "spectrum.dat", "filesize": len(DATA), "type": "output", "checksum": checksum}
    ]
    assert (status["status"], status["statusText"]) == (70, "Job finished")


@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=10-19", 10, 20),
        ("bytes=1000-", 1000, 1024),
        ("bytes=-24", 1000, 1024),
        ("Bytes=1-2", 1, 3),
        ("bytes=1000-9999", 1000, 1024),
        ("bytes=-9999", 0, 1024),
    ],
)
def test_a_range_is_answered_with_that_part(finished: Finished, asked: str, start: int, stop: int) -> None:
    with open_gateway(finished.store) as client:
        answer = finished.fetch(client, Range=asked)
    assert (answer.status_code, answer.content) == (206, DATA[start:stop])
    assert answer.headers["Content-Range"] == f"bytes {start}-{stop - 1}/1024"
    assert answer.headers["Content-Length"] == str(stop - start)


@pytest.mark.parametrize("asked", [f"bytes={len(DATA)}-", "bytes=5000-6000", "bytes=-0"])
def test_a_range_outside_is_refused(finished: Finished, asked: str) -> None:
    with open_gateway(finished.store) as client:
        answer = finished.fetch(client, Range=asked)
    assert answer.status_code == 416
    assert answer.headers["Content-Range"] == f"bytes */{len(DATA)}"
    assert list(answer.json()) == ["error"]


@pytest.mark.parametrize("asked", ["lines=0-5", "bytes=5-2", "bytes=0-1,4-5", "bytes=", "bytes=-", "bytes=a-b"])
def test_what_is_no_single_range_gets_the_whole(finished: Finished, asked: str) -> None:
    with open_gateway(finished.store) as client:
        answer = finished.fetch(client, Range=asked)
    assert (answer.status_code, answer.content) == (200, DATA)


def test_a_result_that_goes_meanwhile_is_not_there(finished: Finished) -> None:
    finished.store.delete(f"compute/results/{finished.job_id}/0/spectrum.dat")
    with open_gateway(finished.store) as client:
        answer = finished.fetch(client)
    assert (answer.status_code, answer.json()) == (
        404,
        {"error": "The results have been removed, since their time was over"},
    )


def test_a_part_is_sent_only_of_the_version_that_the_client_has(finished: Finished) -> None:
    with open_gateway(finished.store) as client:
        etag = finished.fetch(client).headers["ETag"]
        same = finished.fetch(client, Range="bytes=0-3", If_Range=etag)
        other = finished.fetch(client, Range="bytes=0-3", If_Range='"another"')
    assert (same.status_code, other.status_code) == (206, 200)


def test_results_longer_than_a_part_come_whole(file_store: FileStore) -> None:
    job, data = Finished(file_store), bytes(range(251)) * 13_000
    job.finish(data)
    with open_gateway(file_store) as client:
        assert job.fetch(client).content == data
        assert job.fetch(client, Range="bytes=1-2500000").content == data[1:2_500_001]


def test_an_empty_result_is_answered_and_has_no_parts(file_store: FileStore) -> None:
    job = Finished(file_store)
    job.finish(b"")
    with open_gateway(file_store) as client:
        assert (job.fetch(client).status_code, job.fetch(client).content) == (200, b"")
        assert job.fetch(client, Range="bytes=0-").status_code == 416


def test_a_name_cannot_break_out_of_its_header(file_store: FileStore) -> None:
    job = Finished(file_store)
    job.finish(name='a"; filename="../../b\r\nX-Evil: 1 ü.txt')
    with open_gateway(file_store) as client:
        answer = job.fetch(client)
    assert answer.status_code == 200
    assert "X-Evil" not in answer.headers
    plain = answer.headers["Content-Disposition"].split("; ")[1]
    assert plain == 'filename="a__ filename__.._.._b__X-Evil_ 1 _.txt"'


@pytest.mark.parametrize("index", ["-1", "1", "999999"])
def test_an_index_that_is_not_there_is_not_found(finished: Finished, index: str) -> None:
    with open_gateway(finished.store) as client:
        answer = finished.fetch(client, index=index)
    assert (answer.status_code, answer.json()) == (404, {"error": "The job has no result with this index"})


def test_an_index_that_is_no_number_is_refused(finished: Finished) -> None:
    with open_gateway(finished.store) as client:
        answer = finished.fetch(client, index="../0")
    assert (answer.status_code, answer.json()) == (400, {"error": '"index" must be a whole number'})


def test_a_job_of_another_owner_is_as_good_as_not_there(finished: Finished) -> None:
    stranger = Wallet()
    with open_gateway(finished.store, **finished.settings) as client:
        before = finished.store.list()
        foreign = client.get(RESULT, params=stranger.signed(stranger.address, finished.job_id) | {"index": 0})
        missing = client.get(RESULT, params=stranger.signed(stranger.address, "0" * 32) | {"index": 0})
        as_owner = finished.fetch(client, stranger)
        assert finished.store.list() == before
        by_provider = client.get(
            RESULT, params=finished.provider.signed(stranger.address, finished.job_id) | {"index": 0}
        )
    assert foreign.text == missing.text == by_provider.text
    assert (foreign.status_code, missing.status_code, by_provider.status_code, as_owner.status_code) == (
        404,
        404,
        404,
        401,
    )


def test_another_provider_than_the_one_that_ordered_gets_nothing(finished: Finished) -> None:
    with open_gateway(finished.store, **finished.settings) as client:
        answer = finished.fetch(client, finished.other_provider)
    assert (answer.status_code, answer.json()) == (404, {"error": "The job was ordered by another provider"})


def test_a_replayed_request_for_a_result_is_refused(finished: Finished) -> None:
    arguments = finished.owner.signed(finished.owner.address, finished.job_id) | {"index": 0}
    with open_gateway(finished.store) as client:
        statuses = [client.get(RESULT, params=arguments).status_code for _ in range(2)]
    assert statuses == [200, 400]


def test_results_that_have_been_removed_are_told(finished: Finished) -> None:
    JobBook(finished.store).forget_results(finished.job_id)
    with open_gateway(finished.store) as client:
        answer = finished.fetch(client)
        (status,) = client.get(COMPUTE, params=finished.owner.signed(finished.owner.address)).json()
    assert answer.status_code == 404
    assert "removed" in answer.json()["error"]
    assert (status["removed"], status["results"]) == (1, "")


def test_an_unfinished_job_has_no_results(file_store: FileStore) -> None:
    owner = Wallet()
    with open_gateway(file_store) as client:
        job_id = client.post(COMPUTE, json=make_order(owner)).json()[0]["jobId"]
        answer = client.get(RESULT, params=owner.signed(owner.address, job_id) | {"index": 0})
    assert (answer.status_code, answer.json()) == (404, {"error": "The job has no results"})
