"""Records of jobs: each ends once, whoever changes it meanwhile, and is found by whoever may ask."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest
from compute_kit import OWNER, Owners, workflow_payload
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule
from waiting import wait_until

from runstart.compute import FINAL, JobBook, JobEnded, JobRecord, Status, owner_hash
from runstart.compute.records import JOBS, OPEN, OWNERS, JobTaken, StopAsked, owner_key
from runstart.errors import Alert, Transient
from runstart.storage import FileStore, ObjectStore

OTHER = "0xother"


@pytest.fixture
def owners(tmp_path: Path) -> Owners:
    return Owners(tmp_path)


def test_a_new_job_is_found_by_its_name_its_owner_and_its_agreement(owners: Owners, store: ObjectStore) -> None:
    book = JobBook(store)
    record = book.create(_record(owners, agreement_id="0x1"))
    assert book.get(record.job_id) == record
    assert record.history[0].status is Status.WARMING_UP
    for names in (
        {"job_id": record.job_id},
        {"agreement_id": "0x1"},
        {"owner": OWNER},
        {"owner": OWNER.lower()},
        {"job_id": record.job_id, "owner": OWNER.upper().replace("0X", "0x"), "agreement_id": "0x1"},
    ):
        assert book.find(**names) == [record]
    for names in ({"job_id": 32 * "0"}, {"job_id": record.job_id, "owner": OTHER}, {"agreement_id": "0x2"}):
        assert book.find(**names) == []
    with pytest.raises(ValueError, match="which jobs"):
        book.find()


@pytest.mark.parametrize("name", ["", "x", "../../gateway/tokens/x", "A" * 32, "0" * 31, "0" * 32 + "\n"])
def test_what_is_no_name_of_a_job_finds_nothing(owners: Owners, name: str) -> None:
    assert owners.book.get(name) is None
    assert owners.book.find(job_id=name) == []


def test_an_agreement_has_one_unfinished_job_at_a_time_however_many_ask_at_once(owners: Owners) -> None:
    taken: list[JobRecord] = []
    refused: list[Alert] = []
    barrier = threading.Barrier(8)

    def order() -> None:
        barrier.wait()
        try:
            taken.append(owners.order(workflow_payload(), agreement_id="0x1"))
        except Alert as alert:
            refused.append(alert)

    threads = [threading.Thread(target=order) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == 1
    assert {alert.what for alert in refused} == {"agreementId already used by an unfinished job"}
    owners.book.advance(taken[0].job_id, Status.STOPPED)
    again = owners.order(workflow_payload(), agreement_id="0x1")
    assert [record.job_id for record in owners.book.find(agreement_id="0x1")] == [taken[0].job_id, again.job_id]


def test_a_gateway_that_dies_between_claim_and_record_blocks_its_agreement_for_a_minute(
    owners: Owners, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Dies(FileStore):
        def put_if_absent(self, key: str, data: bytes) -> str:
            if key.startswith(JOBS):
                raise Transient("The power is off.")
            return super().put_if_absent(key, data)

    book = JobBook(Dies(owners.place / "store"))
    with pytest.raises(Transient):
        book.create(_record(owners, agreement_id="0x1"))
    with pytest.raises(Alert):
        owners.order(workflow_payload(), agreement_id="0x1")
    assert owners.book.running() == []
    assert owners.book.sweep() == []
    assert len(owners.book.open_ids()) == 1
    later = time.time() + 61
    monkeypatch.setattr(time, "time", lambda: later)
    assert len(owners.book.sweep()) == 1
    assert owners.book.open_ids() == []
    assert owners.order(workflow_payload(), agreement_id="0x1")


def test_a_job_that_has_ended_never_changes(owners: Owners) -> None:
    record = owners.order(workflow_payload())
    ended = owners.book.advance(record.job_id, Status.TIMED_OUT, reason="It took long.")
    for status in Status:
        with pytest.raises(JobEnded) as caught:
            owners.book.advance(record.job_id, status, reason="Something else.")
        assert caught.value.record == ended
    with pytest.raises(JobEnded):
        owners.book.claim(record.job_id, "run")
    assert owners.book.request_stop(record.job_id) == ended
    assert owners.read(record) == ended


def test_of_several_who_end_a_job_at_once_one_does(owners: Owners) -> None:
    record = owners.order(workflow_payload())
    barrier = threading.Barrier(len(FINAL))
    won: list[Status] = []

    def end(status: Status) -> None:
        barrier.wait()
        try:
            won.append(owners.book.advance(record.job_id, status).status)
        except JobEnded:
            return

    threads = [threading.Thread(target=end, args=(status,)) for status in FINAL]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert owners.read(record).status is won[0]


def test_one_run_has_a_job_and_may_ask_again_whether_it_has(owners: Owners) -> None:
    record = owners.order(workflow_payload())
    taken = owners.book.claim(record.job_id, "first")
    assert taken.status is Status.STARTED
    assert owners.book.claim(record.job_id, "first") == taken
    with pytest.raises(JobTaken):
        owners.book.claim(record.job_id, "second")
    owners.book.advance(record.job_id, Status.CONFIGURING_VOLUMES)
    with pytest.raises(JobTaken):
        owners.book.claim(record.job_id, "first")


def test_a_job_never_goes_back_nor_finishes_once_a_stop_was_asked_for(owners: Owners) -> None:
    record = owners.order(workflow_payload())
    owners.book.advance(record.job_id, Status.PUBLISHING)
    with pytest.raises(ValueError, match="later than"):
        owners.book.advance(record.job_id, Status.RUNNING_ALGORITHM)
    assert owners.book.request_stop(record.job_id).stopreq == 1
    with pytest.raises(StopAsked):
        owners.book.advance(record.job_id, Status.FINISHED)
    assert owners.book.advance(record.job_id, Status.STOPPED).finished_at is not None


def test_what_is_asked_of_a_job_that_is_not_there_says_so(owners: Owners) -> None:
    for ask in (
        lambda: owners.book.advance(32 * "0", Status.STARTED),
        lambda: owners.book.request_stop(32 * "0"),
        lambda: owners.book.claim(32 * "0", "run"),
    ):
        with pytest.raises(LookupError, match="There is no job"):
            ask()


def test_the_order_is_fair_and_a_waiting_job_knows_its_place(owners: Owners) -> None:
    mine = [owners.order(workflow_payload()) for _ in range(3)]
    theirs = owners.order(workflow_payload(), owner=OTHER)
    assert [record.priority for record in (*mine, theirs)] == [0, -1, -2, 0]
    places = [owners.book.place_in_queue(record.job_id) for record in (mine[0], theirs, mine[1], mine[2])]
    assert places == [1, 2, 3, 4]
    owners.book.claim(mine[0].job_id, "run")
    assert owners.book.place_in_queue(mine[0].job_id) is None
    assert owners.book.place_in_queue(theirs.job_id) == 1
    assert owners.book.place_in_queue(32 * "0") is None
    owners.book.advance(mine[0].job_id, Status.STOPPED)
    assert owners.order(workflow_payload()).priority == -2


def test_jobs_of_another_environment_do_not_count_for_the_place(owners: Owners) -> None:
    first = owners.order(workflow_payload())
    elsewhere = owners.book.create(_record(owners, owner=OTHER).model_copy(update={"environment": "other"}))
    assert owners.book.place_in_queue(first.job_id) == 1
    assert owners.book.place_in_queue(elsewhere.job_id) == 1


def test_marks_of_jobs_that_have_ended_are_swept_whoever_died(owners: Owners) -> None:
    record = owners.order(workflow_payload())
    owners.book.advance(record.job_id, Status.STOPPED)
    owners.store.put(f"{OPEN}/{record.job_id}", b'{"at": 0}')
    assert owners.book.running() == []
    assert owners.book.sweep() == [record.job_id]
    assert owners.store.list(OPEN) == []


def test_a_record_that_cannot_be_read_is_told_and_hides_no_other(
    owners: Owners, caplog: pytest.LogCaptureFixture
) -> None:
    damaged, sound = owners.order(workflow_payload(), agreement_id="0x1"), owners.order(workflow_payload())
    owners.store.put(f"{JOBS}/{damaged.job_id}.json", b'{"job_id": "of another version"}')
    with pytest.raises(Alert, match="cannot be read"):
        owners.book.get(damaged.job_id)
    assert owners.book.find(owner=OWNER) == owners.book.running() == [sound]
    assert damaged.job_id in caplog.text
    assert owners.book.sweep() == []


def test_owners_are_marked_by_a_digest_that_does_not_tell_them_their_newest_jobs_first(owners: Owners) -> None:
    records = []
    for created_at in (1.7e9, 1.7e9 + 1, 1.7e9 + 2):
        made = owners.order(workflow_payload())
        records.append(made.model_copy(update={"created_at": created_at}))
    keys = [owner_key(record) for record in records]
    assert sorted(keys) == list(reversed(keys))
    assert all(key.startswith(f"{OWNERS}/{owner_hash(OWNER.lower())}/") for key in keys)
    assert {owner_key(record) for record in owners.book.running()} == set(owners.store.list(f"{OWNERS}/"))


def test_a_change_waits_for_others_and_loses_none(owners: Owners) -> None:
    record = owners.order(workflow_payload())
    book, done = owners.book, threading.Event()

    def walk() -> None:
        for status in (10, 20, 30, 40, 60):
            book.advance(record.job_id, Status(status))
        done.set()

    walker = threading.Thread(target=walk)
    walker.start()
    wait_until(lambda: book.request_stop(record.job_id).stopreq == 1 and done.is_set(), "the walk", 30, 0.0)
    walker.join()
    ended = owners.read(record)
    assert ended.stopreq == 1
    assert owners.statuses(ended) == [1, 10, 20, 30, 40, 60]


def _record(owners: Owners, **names: Any) -> JobRecord:
    from runstart.compute import order_job, read_workflow

    fields = {"agreement_id": "0x9", "owner": OWNER, "provider": "0xp"} | names
    return order_job(read_workflow(workflow_payload()), owners.environment, **fields)


class Books(RuleBasedStateMachine):
    """Any number of people act on jobs in any order; a model says what may come of it."""

    jobs = Bundle("jobs")

    @initialize()
    def begin(self) -> None:
        import tempfile

        self.folder = tempfile.TemporaryDirectory()
        self.owners = Owners(Path(self.folder.name))
        self.model: dict[str, JobRecord] = {}

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            self.folder.cleanup()

    @rule(target=jobs, owner=st.sampled_from([OWNER, OTHER]), agreement=st.sampled_from("ab"))
    def order(self, owner: str, agreement: str) -> str:
        is_free = all(record.status.is_final for record in self.model.values() if record.agreement_id == agreement)
        try:
            record = self.owners.order(workflow_payload(), owner=owner, agreement_id=agreement)
        except Alert:
            assert not is_free
            return ""
        assert is_free
        self.model[record.job_id] = record
        return record.job_id

    @rule(job_id=jobs, status=st.sampled_from(Status))
    def advance(self, job_id: str, status: Status) -> None:
        if not job_id:
            return
        before = self.model[job_id]
        try:
            after = self.owners.book.advance(job_id, status)
        except JobEnded:
            assert before.status.is_final
        except StopAsked:
            assert status is Status.FINISHED
            assert before.stopreq
        except ValueError:
            assert status < before.status
        else:
            assert not before.status.is_final
            assert after.status is status >= before.status
            self.model[job_id] = after

    @rule(job_id=jobs)
    def stop(self, job_id: str) -> None:
        if job_id:
            self.model[job_id] = self.owners.book.request_stop(job_id)

    @rule()
    def sweep(self) -> None:
        assert self.owners.book.sweep() == []

    @invariant()
    def the_book_is_as_the_model(self) -> None:
        if not hasattr(self, "model"):
            return
        running = {record.job_id for record in self.owners.book.running()}
        assert running == {job_id for job_id, record in self.model.items() if not record.status.is_final}
        for job_id, record in self.model.items():
            assert self.owners.book.get(job_id) == record
            assert (record.finished_at is not None) == record.status.is_final


TestBooks = Books.TestCase
TestBooks.settings = settings(max_examples=15, stateful_step_count=20, deadline=None)
