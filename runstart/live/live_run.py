"""One live run from its lease to its published result: the whole of live reduction, free of Dagster."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Mapping
from dataclasses import dataclass

from runstart.errors import Transient
from runstart.kafka import EventLog
from runstart.launchers import Launcher, SubprocessLauncher
from runstart.live.companions import Companions
from runstart.live.finished import note_finished
from runstart.live.follow import GIVE_UP_SECONDS, Follower, Sources
from runstart.live.head import LEASE_SECONDS, Lease, acquire_lease
from runstart.live.late import count_late_events
from runstart.live.patience import ask_patiently
from runstart.live.publish import ScriptPart, make_product, publish_result
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


def reduce_run(
    store: ObjectStore,
    sources: Sources,
    launch: Launch,
    reporter: Reporter,
    launcher: Launcher | None = None,
    environ: Mapping[str, str] | None = None,
) -> Result:
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
    launcher : Launcher, optional
        Starts the process of the reduction script; by default on this machine.
    environ : mapping of str to str, optional
        Holds the token of the script's source; by default the process's environment.

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
            companions = Companions(
                sources,
                store,
                reporter,
                SubprocessLauncher() if launcher is None else launcher,
                os.environ if environ is None else environ,
                epoch=lease.head.epoch,
                replay=lease.head.frozen is not None,
                publishes=current is None,
                stop_time_ns=None if lease.head.frozen is None else lease.head.frozen.stop_time_ns,
            )
            with companions:
                result = _count_and_publish(store, sources, launch, reporter, lease, companions)
        with contextlib.suppress(Transient):  # the result is published; snapshots are swept at the next launch
            lease.commit(snapshots=())
        _sweep_snapshots(store, folder, lease)
        return result
    finally:
        lease.release()


def _count_and_publish(
    store: ObjectStore,
    sources: Sources,
    launch: Launch,
    reporter: Reporter,
    lease: Lease,
    companions: Companions,
) -> Result:
    record = sources.record
    folder = run_prefix(record.instrument, record.partition_key)
    snapshots = SnapshotWriter(store, folder, lease)
    follower = Follower(
        sources, store, lease, snapshots, reporter, companions, give_up_seconds=launch.give_up_seconds
    )
    finished, frozen = follower.run()
    with EventLog(sources.bootstrap_servers, sources.instrument.topics.events, sources.access) as log:
        count = functools.partial(count_late_events, log, finished, frozen, lease.check)
        late = ask_patiently(count, lease.check, reporter.remark)
    logs = companions.finish_logs(frozen.stop_time_ns)
    product = make_product(record, finished, frozen, launch.run_id, logs)
    script = ScriptPart(companions.finish_script(product, finished), companions.script_trouble or "")
    publish = functools.partial(publish_result, store, lease, folder, product, (finished, late), script)
    result, promoted = ask_patiently(publish, lease.check, reporter.remark)
    note = functools.partial(note_finished, store, record.instrument, record.partition_key)
    ask_patiently(note, lease.check, reporter.remark)
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
