"""Runs as the housekeeping finds them: partitions, heads and results in a store, launches in a Dagster instance."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
from dagster._core.remote_origin import GrpcServerCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin

import runstart
from runstart.live import Head, Result, name_partition
from runstart.live.head import Version, head_key
from runstart.live.record import run_prefix
from runstart.storage import ObjectStore

LEDGER = {"messages_read": 1}


def key_of(days_ago: float, name: str = "run") -> str:
    """Return the partition key of a run that began so long ago."""
    start = datetime.now(UTC) - timedelta(days=days_ago)
    return name_partition(name, int(start.timestamp() * 1000))


@dataclass
class House:
    """A store and an instance to fill."""

    instance: dg.DagsterInstance
    store: ObjectStore

    def add_partition(self, instrument: str, days_ago: float, name: str = "run") -> str:
        """Make a run known; return its partition key."""
        key = key_of(days_ago, name)
        self.instance.add_dynamic_partitions(f"live_runs_{instrument}", [key])
        return key

    def add_result(self, instrument: str, key: str, *, run_id: str = "", **changes: Any) -> None:
        """Store one more version of a run's result, and make it the current one."""
        head = self.head(instrument, key)
        number = head.epoch + 1
        folder = f"{run_prefix(instrument, key)}/results/{number:06d}"
        version = Version(number, folder, "digest", {0: [(0, 9)]}, run_id, run_id)
        fields: dict[str, Any] = {
            "folder": folder,
            "files": (),
            "thumbnails": {},
            "digest": "digest",
            "ledger": LEDGER,
            "proton_charge_uah": 0.0,
            "stop_time_ns": 2,
            "stop_reason": "RunStop",
            "first_offsets": {"0": 0},
            "end_offsets": {"0": 9},
            "lost": {},
            "late_events": 0,
            "shortcomings": (),
            "code_version": runstart.__version__,
            "run_id": run_id,
        }
        promote = changes.pop("promote", True)
        extra = {name: changes.pop(name) for name in list(changes) if name not in fields}
        result = json.loads(Result(**fields | changes).to_json()) | extra
        self.store.put(f"{folder}/result.json", json.dumps(result).encode())
        self.put_head(
            instrument,
            key,
            replace(
                head,
                epoch=number,
                current=version if promote else head.current,
                versions=(*head.versions, version),
            ),
        )

    def head(self, instrument: str, key: str) -> Head:
        """Return a run's head."""
        stored = self.store.head(head_key(instrument, key))
        return Head() if stored is None else Head.from_json(self.store.get(head_key(instrument, key)).data)

    def put_head(self, instrument: str, key: str, head: Head) -> None:
        """Replace a run's head."""
        self.store.put(head_key(instrument, key), head.to_json())

    def add_launch(
        self,
        instrument: str,
        key: str | None,
        status: dg.DagsterRunStatus = dg.DagsterRunStatus.SUCCESS,
        tags: dict[str, str] | None = None,
        job_name: str = "",
    ) -> str:
        """Add a Dagster run of a run; return its id."""
        place = {} if key is None else {"runstart/instrument": instrument, "dagster/partition": key}
        job_name = job_name or f"live_reduction_{instrument}"
        location = GrpcServerCodeLocationOrigin(host="127.0.0.1", port=1, location_name="definitions")
        run = dg.DagsterRun(
            job_name,
            str(uuid.uuid4()),
            status=status,
            tags=place | (tags or {}),
            remote_job_origin=RemoteJobOrigin(RemoteRepositoryOrigin(location, "__repository__"), job_name),
        )
        return self.instance.add_run(run).run_id
