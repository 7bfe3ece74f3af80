"""Puts the status of live runs into a store, with every field that there is."""

from __future__ import annotations

import json
import time
from typing import Any

from runstart.live.ledger import Ledger
from runstart.storage import ObjectStore


def make_status(instrument: str = "SANS", partition_key: str = "run1", **changes: Any) -> dict[str, Any]:
    status: dict[str, Any] = {
        "instrument": instrument,
        "partition_key": partition_key,
        "run_name": "SANS 1",
        "dagster_run_id": "abc",
        "written_at": time.time(),
        "phase": "counting",
        "events_in_views": 1000,
        "events_per_second": 50.5,
        "lag_seconds": 1.25,
        "proton_charge_uah": 1000.0,
        "ledger": {name: number for number, name in enumerate(Ledger().as_dict(), start=1)},
        "next_offsets": {"0": 7},
        "snapshots": 3,
        "snapshot_age_seconds": 12.0,
        "snapshot_bytes": 4096,
        "script": {
            "sha256": "0" * 64,
            "executed_at": 1.0,
            "seconds": 0.5,
            "error": None,
            "isolation": "namespaces",
        },
        "collectors": {"epics": {"samples": 5, "trouble": None}, "logs": {"samples": 0, "trouble": "IOC gone"}},
        "troubles": [{"kind": "collector", "name": "logs", "text": "IOC gone"}],
    }
    return status | changes


def put_status(store: ObjectStore, status: dict[str, Any]) -> str:
    key = f"live_status/{status['instrument']}/{status['partition_key']}.json"
    store.put(key, json.dumps(status).encode())
    return key
