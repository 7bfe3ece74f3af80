from __future__ import annotations

import json

import numpy as np
import pytest
from facility_kit import START_NS, WrappedStore, failing, raw, run_record, small_instrument
from hypothesis import given
from hypothesis import strategies as st

from runstart.errors import Transient
from runstart.events import encode_ev42
from runstart.live import LeaseLost, Result, find_contradictions, load_result, read_head
from runstart.live.accumulation import Accumulation
from runstart.live.head import Frozen, Lease, acquire_lease
from runstart.live.membership import FOREVER_NS
from runstart.live.publish import _ranges_read, make_live_product, make_product, publish_result
from runstart.storage import FileStore, ObjectStore

INSTRUMENT = small_instrument()
RECORD = run_record()
FOLDER = f"live/SMALL/{RECORD.partition_key}"
FROZEN = Frozen(START_NS + 10**9, "RunStop", {0: 0}, {0: 10}, 0)


@pytest.fixture(autouse=True)
def _no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runstart.live.publish.pictures_png", lambda _: {})
    monkeypatch.setattr("runstart.live.publish.thumbnails", lambda _: {})


def lease_on(store: ObjectStore, root: str = "root") -> Lease:
    lease = acquire_lease(
        store, "SMALL", RECORD.partition_key, run_id=f"{root}-run", root_run_id=root, sleep=_never
    )
    lease.commit(frozen=FROZEN)
    return lease


def _never(_: float) -> None:
    raise AssertionError("Nothing is to be waited for.")


def counted(messages: int = 10, lost: int = 0) -> Accumulation:
    accumulation = Accumulation(INSTRUMENT, START_NS)
    accumulation.begin({0: 0})
    if lost:
        accumulation.lose(0, 0, lost)
    for number in range(lost, messages):
        payload = encode_ev42("s", number, START_NS + number, [5, 6], detector_id=[10, 11])
        accumulation.add(raw(payload, offset=number), FROZEN.stop_time_ns)
    return accumulation


def publish(store: ObjectStore, lease: Lease, finished: Accumulation, late: Accumulation) -> tuple[Result, bool]:
    product = make_product(RECORD, finished, FROZEN, lease.head.run_id)
    return publish_result(store, lease, FOLDER, product, (finished, late))


def test_a_published_result_is_current_and_proves_itself(file_store: FileStore) -> None:
    result, promoted = publish(file_store, lease_on(file_store), counted(), counted(0))
    assert promoted
    current = read_head(file_store, "SMALL", RECORD.partition_key).current
    assert current is not None
    assert load_result(file_store, current) == result
    assert find_contradictions(file_store.get(f"{result.folder}/run.nxs").data, result.digest) == []
    assert result.ledger["events_counted"] == 20


def test_a_result_that_covers_less_does_not_replace_the_current_one_but_is_kept(file_store: FileStore) -> None:
    lease = lease_on(file_store, "one")
    good, _ = publish(file_store, lease, counted(), counted(0))
    lease.release()
    worse, promoted = publish(file_store, lease_on(file_store, "two"), counted(lost=4), counted(0))
    head = read_head(file_store, "SMALL", RECORD.partition_key)
    assert not promoted
    assert head.current is not None
    assert head.current.folder == good.folder
    assert [version.folder for version in head.versions] == [good.folder, worse.folder]
    assert file_store.get(f"{worse.folder}/run.nxs").data


def test_a_result_that_covers_more_replaces_the_current_one(file_store: FileStore) -> None:
    lease = lease_on(file_store, "one")
    publish(file_store, lease, counted(lost=4), counted(0))
    lease.release()
    _, promoted = publish(file_store, lease_on(file_store, "two"), counted(), counted(0))
    assert promoted


def test_a_fenced_run_publishes_nothing(file_store: FileStore) -> None:
    fenced = lease_on(file_store)
    lease_on(file_store)
    with pytest.raises(LeaseLost):
        publish(file_store, fenced, counted(), counted(0))
    assert read_head(file_store, "SMALL", RECORD.partition_key).versions == ()


def test_a_result_whose_publishing_lost_its_answer_is_published_once(file_store: FileStore) -> None:
    store = WrappedStore(file_store)
    lease = lease_on(store)
    store.after = failing(1, "put_if_match")
    with pytest.raises(Transient):
        publish(store, lease, counted(), counted(0))
    publish(store, lease, counted(), counted(0))
    assert len(read_head(file_store, "SMALL", RECORD.partition_key).versions) == 1


def test_late_events_are_kept_apart_and_do_not_change_the_digest(file_store: FileStore) -> None:
    lease = lease_on(file_store)
    without, _ = publish(file_store, lease, counted(), counted(0))
    result, _ = publish(file_store, lease, counted(), counted(3))
    assert (result.late_events, result.digest) == (6, without.digest)
    with np.load(file_store.root / result.folder / "late_events.npz", allow_pickle=False) as archive:
        assert archive["views.tof"].sum() == 6
        assert json.loads(archive["header"].tobytes())["next_offsets"] == [[0, 3]]


def test_a_run_without_a_stop_has_none_in_its_file() -> None:
    frozen = Frozen(FOREVER_NS, "given up", {0: 0}, {0: 10}, 0, closed=False)
    assert make_product(RECORD, counted(), frozen, "run").stop_time_ns is None


def test_a_live_product_does_not_change_any_more() -> None:
    accumulation = counted(3)
    product = make_live_product(RECORD, accumulation, accumulation.ledger().as_dict())
    before = product.views.tof.sum()
    accumulation.add(raw(encode_ev42("s", 99, START_NS, [5], detector_id=[10]), offset=3), None)
    assert product.views.tof.sum() == before
    assert product.series.events_per_second.sum() == 6


spans = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)).map(sorted).map(tuple), max_size=4)


@given(st.integers(0, 30), st.integers(0, 30), spans)
def test_what_was_read_is_what_was_frozen_without_what_was_lost(first: int, end: int, lost) -> None:
    ranges = _ranges_read(Frozen(0, "", {0: first}, {0: end}, 0), {0: lost})
    read = [n for begin, stop in ranges[0] for n in range(begin, stop)]
    gone = {n for begin, stop in lost for n in range(begin, stop)}
    assert read == [n for n in range(first, end) if n not in gone]
