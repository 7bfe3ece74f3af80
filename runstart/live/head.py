"""The head of a run: one small object that says who may write, and what has been written.

The lease, the list of snapshots, the frozen offsets and the current result all live in `head.json`, which is
only ever replaced on condition that it has not changed (`put_if_match`). So a writer that has lost its lease
cannot publish anything: whatever it wrote is never named by the head. Which of two writers wins is decided by the
object store, not by a clock; time only decides when a lease may be taken from a silent holder.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import MISSING, asdict, dataclass, field, replace
from dataclasses import fields as dataclass_fields
from typing import Any

import runstart
from runstart.errors import Alert, Transient
from runstart.live.record import run_prefix
from runstart.storage import ObjectMissing, ObjectStore, PreconditionFailed

LEASE_SECONDS = 30.0
KEPT_SNAPSHOTS = 2


class LeaseLost(Exception):
    """Another run has taken over this run's partition; nothing more may be written."""


@dataclass(frozen=True)
class Frozen:
    """The content of a run, fixed for ever.

    Attributes
    ----------
    stop_time_ns : int
        Pulses at or after it are not the run's.
    reason : str
        What closed the run, as told to the user.
    first_offsets, end_offsets : dict of int to int
        Half-open offset range of each partition.
    frozen_at_ms : int
        When, by the clock of the writer; bounds how far late events are looked for.
    closed : bool
        Whether the instrument closed it; False if it was given up.
    """

    stop_time_ns: int
    reason: str
    first_offsets: dict[int, int]
    end_offsets: dict[int, int]
    frozen_at_ms: int
    closed: bool = True


@dataclass(frozen=True)
class Version:
    """A finished result.

    Attributes
    ----------
    number : int
        The epoch that made it; rises with every launch.
    folder : str
        Where its files lie, as an object store prefix.
    digest : str
        SHA-256 over views, series and ledger.
    read : dict of int to list of (int, int)
        Half-open offset ranges that it really read, for each partition.
    run_id, root_run_id : str
        Dagster's ids of the run that made it.
    """

    number: int
    folder: str
    digest: str
    read: dict[int, list[tuple[int, int]]]
    run_id: str
    root_run_id: str

    def covers(self, other: Version) -> bool:
        """Whether every offset that `other` read was read here too."""
        return all(
            any(first <= begin and end <= last for first, last in self.read.get(partition, []))
            for partition, ranges in other.read.items()
            for begin, end in ranges
            if begin < end
        )


@dataclass(frozen=True)
class Head:
    """Content of `head.json`; see the attributes of `Frozen` and `Version` for its parts."""

    epoch: int = 0
    run_id: str = ""
    root_run_id: str = ""
    beat: int = 0
    lease_seconds: float = LEASE_SECONDS
    released: bool = True
    snapshots: tuple[str, ...] = ()
    frozen: Frozen | None = None
    current: Version | None = None
    versions: tuple[Version, ...] = field(default=())
    unknown: tuple[str, ...] = field(default=(), compare=False)
    """Fields in the stored head that this version does not know: such a head is read, and never replaced."""

    def to_json(self) -> bytes:
        """Return the head as JSON."""
        fields = asdict(self)
        del fields["unknown"]
        return json.dumps(fields, indent=1).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Head:
        """Return the head that `to_json` of this version wrote, or of an older or a newer one.

        Raises
        ------
        Alert
            If a part lacks what every version has written.
        """
        unknown: list[str] = []
        fields = _known(cls, json.loads(data), "", unknown)
        frozen, current = fields.get("frozen"), fields.get("current")
        parts = {
            "snapshots": tuple(fields.get("snapshots", ())),
            "frozen": None if frozen is None else _frozen(frozen, unknown),
            "current": None if current is None else _version(current, unknown),
            "versions": tuple(_version(version, unknown) for version in fields.get("versions", ())),
        }
        return cls(**fields | parts | {"unknown": tuple(dict.fromkeys(unknown))})


def head_key(instrument: str, partition_key: str) -> str:
    """Return the key of a run's head in the object store."""
    return f"{run_prefix(instrument, partition_key)}/head.json"


def read_head(store: ObjectStore, instrument: str, partition_key: str) -> Head:
    """Return a run's head; an empty one if the run has never been reduced."""
    try:
        return Head.from_json(store.get(head_key(instrument, partition_key)).data)
    except ObjectMissing:
        return Head()


class Lease:
    """The right to write one run's results, held by one Dagster run.

    Thread-safe: the accumulation, the snapshot writer and the heartbeat share it.

    Attributes
    ----------
    head : Head
        The head as last written.
    """

    def __init__(self, store: ObjectStore, key: str, head: Head, etag: str) -> None:
        self.head = head
        self._store = store
        self._key = key
        self._etag = etag
        self._lock = threading.Lock()
        self._lost = False
        self._failure: Exception | None = None
        self._stop_beating = threading.Event()
        self._heart: threading.Thread | None = None

    def commit(self, **changes: Any) -> Head:
        """Replace fields of the head, on condition that this lease still holds.

        Raises
        ------
        LeaseLost
            If another run has taken over.
        Transient
            If the store does not answer; the head may or may not have been written.
        """
        with self._lock:
            if self._lost:
                raise LeaseLost("This run lost its lease to another run of the same partition.")
            wanted = replace(self.head, beat=self.head.beat + 1, **changes)
            try:
                self._etag = self._store.put_if_match(self._key, wanted.to_json(), self._etag)
            except PreconditionFailed:
                self._reconcile(wanted)
            self.head = wanted
            return wanted

    def check(self) -> None:
        """Raise LeaseLost if the heartbeat has found that another run took over, or what stopped the heartbeat."""
        if self._lost:
            raise LeaseLost("This run lost its lease to another run of the same partition.")
        if self._failure is not None:
            raise self._failure

    def start_beating(self) -> None:
        """Renew the lease in the background, three times in its duration."""
        self._heart = threading.Thread(target=self._beat, name="lease", daemon=True)
        self._heart.start()

    def release(self) -> None:
        """Let others have the partition at once; a lost lease or an absent store leaves it to expire."""
        self._stop_beating.set()
        if self._heart is not None:
            self._heart.join()
        try:
            self.commit(released=True)
        except (LeaseLost, Transient):
            return

    def _beat(self) -> None:
        while not self._stop_beating.wait(self.head.lease_seconds / 3):
            try:
                self.commit()
            except LeaseLost:
                return
            except Transient:
                continue  # tried again at the next beat; the put's condition keeps it safe
            except Exception as error:  # noqa: BLE001 - raised again in the run's own thread by check()
                self._failure = error
                return

    def _reconcile(self, wanted: Head) -> None:
        """Find out whether a put without an answer had been made, or another run has taken over."""
        try:
            stored = self._store.get(self._key)
        except ObjectMissing as error:
            self._lost = True
            raise LeaseLost("The head of this run has been removed from the object store.") from error
        found = Head.from_json(stored.data)
        if found.epoch != self.head.epoch:
            self._lost = True
            raise LeaseLost(f"Run {found.run_id} has taken over this partition (epoch {found.epoch}).")
        try:
            self._etag = self._store.put_if_match(self._key, wanted.to_json(), stored.etag)
        except PreconditionFailed as error:
            self._lost = True
            raise LeaseLost("Another run has taken over this partition.") from error


def acquire_lease(
    store: ObjectStore,
    instrument: str,
    partition_key: str,
    *,
    run_id: str,
    root_run_id: str,
    lease_seconds: float = LEASE_SECONDS,
    sleep: Callable[[float], None] = time.sleep,
) -> Lease:
    """Return the lease of a run, with its epoch raised by one.

    A retry (same root run) takes over from its dead predecessor at once. Any other launch waits until a holder
    has been silent for the duration of its lease.

    Raises
    ------
    Alert
        If another run holds the lease and renews it, or a newer version has written the head.
    """
    key = head_key(instrument, partition_key)
    waited_on: str | None = None
    while True:
        head, etag = _read_or_create(store, key)
        if head.unknown:
            raise Alert(
                f"A newer version of Runstart has reduced {partition_key} of {instrument}: its head has the fields "
                f"{', '.join(head.unknown)}, which version {runstart.__version__} would lose.",
                "Reduce this run with that version or a later one.",
            )
        retry = head.root_run_id == root_run_id
        if not (head.released or retry or etag == waited_on):
            if waited_on is not None:
                raise Alert(
                    f"Run {head.run_id} is reducing {partition_key} of {instrument} now.",
                    "Wait for it or terminate it; two runs of one partition cannot both write.",
                )
            waited_on = etag
            sleep(head.lease_seconds)
            continue
        taken = replace(
            head,
            epoch=head.epoch + 1,
            beat=head.beat + 1,
            run_id=run_id,
            root_run_id=root_run_id,
            released=False,
            lease_seconds=lease_seconds,
            snapshots=head.snapshots if retry else (),
            frozen=head.frozen if retry or head.current is not None else None,
        )
        try:
            return Lease(store, key, taken, store.put_if_match(key, taken.to_json(), etag))
        except PreconditionFailed:
            waited_on = None  # somebody else moved: look again


def _read_or_create(store: ObjectStore, key: str) -> tuple[Head, str]:
    try:
        stored = store.get(key)
    except ObjectMissing:
        head = Head()
        try:
            return head, store.put_if_absent(key, head.to_json())
        except PreconditionFailed:
            stored = store.get(key)
    return Head.from_json(stored.data), stored.etag


def _known(kind: type[Any], fields: dict[str, Any], part: str, unknown: list[str]) -> dict[str, Any]:
    """Return the fields that a class has; append the names of the others to `unknown`."""
    names = {known.name: known for known in dataclass_fields(kind)}
    unknown += [part + name for name in fields if name not in names or name == "unknown"]
    lacking = [
        name
        for name, known in names.items()
        if name not in fields and known.default is MISSING and known.default_factory is MISSING
    ]
    if lacking:
        raise Alert(
            f"A head.json has no {part}{lacking[0]}, which every version of Runstart writes.",
            "It has been changed by something else; restore it, or delete it to reduce its run anew.",
        )
    return {name: value for name, value in fields.items() if name in names and name != "unknown"}


def _frozen(fields: dict[str, Any], unknown: list[str]) -> Frozen:
    fields = _known(Frozen, fields, "frozen.", unknown)
    offsets = {
        name: {int(partition): int(offset) for partition, offset in fields[name].items()}
        for name in ("first_offsets", "end_offsets")
    }
    return Frozen(**fields | offsets)


def _version(fields: dict[str, Any], unknown: list[str]) -> Version:
    fields = _known(Version, fields, "version.", unknown)
    read = {
        int(partition): [(int(first), int(end)) for first, end in ranges]
        for partition, ranges in fields["read"].items()
    }
    return Version(**fields | {"read": read})
