"""Places: as many jobs at once as an environment declares, and none is lost with a job that died."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from compute_kit import Owners, environment, workflow_payload

from runstart.compute import JobRecord, Status
from runstart.compute.places import FOLDER, take_place


@pytest.fixture
def owners(tmp_path: Path) -> Owners:
    return Owners(tmp_path, environment(max_jobs=2))


def take(owners: Owners, record: JobRecord) -> int | None:
    return take_place(owners.book, owners.environment, record.job_id)


def test_there_are_as_many_places_as_declared_and_a_job_keeps_its_own(owners: Owners) -> None:
    first, second, third = (owners.order(workflow_payload()) for _ in range(3))
    assert [take(owners, first), take(owners, second), take(owners, first)] == [0, 1, 0]
    assert take(owners, third) is None
    owners.book.advance(first.job_id, Status.ALGORITHM_FAILED)
    assert take(owners, third) == 0


def test_a_place_whose_job_nobody_knows_is_free(owners: Owners) -> None:
    owners.store.put(f"{FOLDER}/{owners.environment.name}/0.json", b'{"job": "00000000000000000000000000000000"}')
    assert take(owners, owners.order(workflow_payload())) == 0


def test_of_many_who_ask_at_once_as_many_get_one_as_there_are(owners: Owners) -> None:
    records = [owners.order(workflow_payload()) for _ in range(12)]
    barrier = threading.Barrier(len(records))
    got: list[int | None] = []

    def ask(record: JobRecord) -> None:
        barrier.wait()
        got.append(take(owners, record))

    for _ in range(2):
        threads = [threading.Thread(target=ask, args=(record,)) for record in records]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert set(got) == {0, 1, None}
    holders = {owners.store.get(key).data[:60] for key in owners.store.list(f"{FOLDER}/")}
    assert len(holders) == 2


def test_a_job_that_waits_for_a_place_hears_a_stop(owners: Owners) -> None:
    for _ in range(2):
        take(owners, owners.order(workflow_payload()))
    waiting = owners.order(workflow_payload())
    worker = threading.Thread(target=owners.carry_out, args=(waiting,))
    worker.start()
    owners.book.request_stop(waiting.job_id)
    worker.join(20)
    assert not worker.is_alive()
    assert owners.read(waiting).status is Status.STOPPED
    assert owners.statuses(owners.read(waiting)) == [1, 71]
