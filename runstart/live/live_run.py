"""One live run from its lease to its published result: the whole of live reduction, free of Dagster."""

from __future__ import annotations

import contextlib
import functools
from dataclasses import dataclass

from runstart.errors import Transient
from runstart.kafka import EventLog
from runstart.live.follow import GIVE_UP_SECONDS, Follower, Sources
from runstart.live.head import LEASE_SECONDS, Lease, acquire_lease
from runstart.live.late import count_late_events
from runstart.live.patience import ask_patiently
from runstart.live.publish import make_product, publish_result
from runstart.live.record import run_prefix
from runstart.live.result import Result, load_result
from runstart.live.snapshot import SnapshotWriter
from runstart.live.status import Reporter
from runstart.storage import ObjectStore


@dataclass(frozen=True)
class Launch:
    """Who reduces a run.

    Attributes
    ----------
    run_id : str
        Identity of this launch.
    root_run_id : str
        Identity of the first launch that this one retries; the same for a launch that is no retry.
    lease_seconds : float
        Silence after which others may take the partition.
    give_up_seconds : float
        A run without messages and without a stop is closed after so long.
    """

    run_id: str
    root_run_id: str
    lease_seconds: float = LEASE_SECONDS
    give_up_seconds: float = GIVE_UP_SECONDS


def reduce_run(store: ObjectStore, sources: Sources, launch: Launch, reporter: Reporter) -> Result:
    """Return the result of a run: counted live, resumed, or replayed from its frozen offsets.

    A retry resumes from the last snapshot. Any other launch starts clean; if the run has a result, it replays
    the result's frozen offsets. Returned is the run's current result, which is the new one unless that one
    covers less of the data.

    Parameters
    ----------
    store : ObjectStore
        Holds lease, snapshots and results.
    sources : Sources
        The run and its topics.
    launch : Launch
        Who asks.
    reporter : Reporter
        Told of progress.

    Raises
    ------
    Alert
        If another run is reducing it, a topic is wrong, or the instrument's declaration does not fit.
    LeaseLost
        If another run has taken over meanwhile.
    Transient
        If the broker or the store stays away.
    """
    record = sources.record
    folder = run_prefix(record.instrument, record.partition_key)
    lease = acquire_lease(
        store,
        record.instrument,
        record.partition_key,
        run_id=launch.run_id,
        root_run_id=launch.root_run_id,
        lease_seconds=launch.lease_seconds,
    )
    try:
        lease.start_beating()
        current = lease.head.current
        if current is not None and current.root_run_id == launch.root_run_id:
            reporter.remark(
                "The result was published before this launch's predecessor ended; nothing is left to do."
            )
            result = load_result(store, current)
        else:
            _sweep_snapshots(store, folder, lease)
            result = _count_and_publish(store, sources, launch, reporter, lease)
        with contextlib.suppress(Transient):  # the result is published; snapshots are swept at the next launch
            lease.commit(snapshots=())
        _sweep_snapshots(store, folder, lease)
        return result
    finally:
        lease.release()


def _count_and_publish(
    store: ObjectStore, sources: Sources, launch: Launch, reporter: Reporter, lease: Lease
) -> Result:
    record = sources.record
    folder = run_prefix(record.instrument, record.partition_key)
    snapshots = SnapshotWriter(store, folder, lease)
    follower = Follower(sources, store, lease, snapshots, reporter, give_up_seconds=launch.give_up_seconds)
    finished, frozen = follower.run()
    with EventLog(sources.bootstrap_servers, sources.instrument.topics.events) as log:
        count = functools.partial(count_late_events, log, finished, frozen, lease.check)
        late = ask_patiently(count, lease.check, reporter.remark)
    product = make_product(record, finished, frozen, launch.run_id)
    publish = functools.partial(publish_result, store, lease, folder, product, (finished, late))
    result, promoted = ask_patiently(publish, lease.check, reporter.remark)
    current = lease.head.current
    if promoted or current is None:
        return result
    reporter.remark(
        f"This result (version {lease.head.epoch}) covers less of the data than version {current.number}, "
        "which stays the current one. Both are kept."
    )
    return load_result(store, current)


def _sweep_snapshots(store: ObjectStore, folder: str, lease: Lease) -> None:
    """Delete snapshots that the head does not name; what cannot be deleted now is swept at the next launch."""
    with contextlib.suppress(Transient):
        for key in store.list(f"{folder}/snapshots/"):
            epoch = int(key.rsplit("/", 1)[1].split("-")[0])
            if key not in lease.head.snapshots and epoch <= lease.head.epoch:
                store.delete(key)
