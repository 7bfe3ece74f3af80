"""Expiry: results go when their time is over, the record stays and says so, and nothing else is touched."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from compute_kit import Owners, environment, workflow_payload

from runstart.compute import Status
from runstart.compute.expiry import FOLDER, mark_expiry, remove_expired
from runstart.compute.records import RESULTS
from runstart.errors import Transient
from runstart.storage import FileStore

WRITES = "import os; open(os.environ['OUTPUTS'] + '/out.txt', 'w').write('result')"


@pytest.fixture
def owners(tmp_path: Path) -> Owners:
    return Owners(tmp_path, environment(storage_expiry_h=1.0))


def test_results_go_after_their_time_and_the_record_stays_and_says_so(owners: Owners) -> None:
    record = owners.run(workflow_payload(WRITES))
    assert record.finished_at is not None
    assert record.expires_at == pytest.approx(record.finished_at + 3600, abs=60)
    assert remove_expired(owners.book, record.expires_at - 2) == []
    assert owners.results(record)["out.txt"] == b"result"
    assert remove_expired(owners.book, record.expires_at + 2) == [record.job_id]
    ended = owners.read(record)
    assert ended.removed
    assert ended.status is Status.FINISHED
    assert [each.filename for each in ended.results] == [each.filename for each in record.results]
    assert owners.store.list(RESULTS) == owners.store.list(FOLDER) == []
    assert remove_expired(owners.book, record.expires_at + 3) == []


def test_results_that_never_expire_stay(tmp_path: Path) -> None:
    owners = Owners(tmp_path, environment(storage_expiry_h=0))
    record = owners.run(workflow_payload(WRITES))
    assert record.expires_at is None
    assert remove_expired(owners.book, time.time() + 1e9) == []
    assert owners.results(record)["out.txt"] == b"result"


def test_a_removal_that_is_cut_off_is_done_by_the_next(owners: Owners) -> None:
    class Dies(FileStore):
        def put_if_match(self, key: str, data: bytes, etag: str) -> str:
            raise Transient("The power is off.")

    record = owners.run(workflow_payload(WRITES))
    later = time.time() + 4000
    with pytest.raises(Transient):
        remove_expired(type(owners.book)(Dies(owners.place / "store")), later)
    assert remove_expired(owners.book, later) == [record.job_id]
    assert owners.read(record).removed


def test_the_mark_of_a_job_that_has_not_ended_is_kept_and_of_one_without_results_goes(owners: Owners) -> None:
    unfinished, stopped = owners.order(workflow_payload()), owners.order(workflow_payload())
    owners.book.advance(stopped.job_id, Status.STOPPED)
    for record in (unfinished, stopped):
        mark_expiry(owners.book, record.job_id, 0.0)
    mark_expiry(owners.book, 32 * "0", 0.0)
    assert remove_expired(owners.book) == []
    assert [key.rpartition("/")[2] for key in owners.store.list(FOLDER)] == [unfinished.job_id]
    assert not owners.read(stopped).removed
