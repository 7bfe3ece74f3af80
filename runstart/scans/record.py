"""Records of scans in the object store: a run finds there which file, or which stream, its scan is."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from runstart.errors import Alert
from runstart.scans.model import FORMAT, ScanRecord
from runstart.storage import ObjectMissing, ObjectStore, check_key

_FIELDS = {"microscope": str, "scan": str, "name": str, "version": str, "found_at": float}


def run_key(record: ScanRecord) -> str:
    """Return what tells one version of a scan from all others: there is one run for each, however it was found."""
    return f"{record.microscope}:{record.scan}:{record.version}"


def record_key(microscope: str, scan: str) -> str:
    """Return where the record of a scan lies in the object store."""
    return f"scans/{microscope}/{scan}/record.json"


def save_record(store: ObjectStore, record: ScanRecord) -> ScanRecord:
    """Put a record in its place; return the one that counts.

    Of records of one version the first stays, with the time when the scan was found.

    Raises
    ------
    Transient
        If the store does not answer.
    """
    key = record_key(record.microscope, record.scan)
    try:
        kept = _from_bytes(store.get(key).data)
    except (ObjectMissing, ValueError):
        kept = None
    if kept is not None and (kept.version, kept.name) == (record.version, record.name):
        return kept
    store.put(key, json.dumps({"format": FORMAT, **asdict(record)}, sort_keys=True, indent=1).encode())
    return record


def load_record(store: ObjectStore, microscope: str, scan: str) -> ScanRecord:
    """Return the record of a scan.

    Parameters
    ----------
    store : ObjectStore
        Has it.
    microscope : str
        Name of the microscope.
    scan : str
        The scan's partition key.

    Raises
    ------
    Alert
        If no such scan has been found, or its record is damaged.
    """
    unknown = Alert(
        f"No scan {scan[:200]!a} of {microscope} was found.",
        "Choose a partition that the sensor added, or look whether the object store is the right one.",
    )
    try:
        key = check_key(record_key(microscope, scan))
    except ValueError:
        raise unknown from None
    try:
        return _from_bytes(store.get(key).data)
    except ObjectMissing:
        raise unknown from None
    except ValueError as error:
        what = f"The record of scan {scan} of {microscope} cannot be read: {error}."
        raise Alert(
            what, f"Restore the object {key}, or clear the sensor's cursor so that it is written anew."
        ) from error


def _from_bytes(data: bytes) -> ScanRecord:
    fields: dict[str, Any] = json.loads(data)
    if not isinstance(fields, dict) or fields.pop("format", None) != FORMAT:
        raise ValueError("it is of another format")
    if any(not isinstance(fields.get(name), kind) for name, kind in _FIELDS.items()):
        raise ValueError("it lacks what every version writes")
    if not isinstance(fields.get("stream"), dict | None):
        raise ValueError("its stream is no table")
    return ScanRecord(**{name: fields[name] for name in _FIELDS}, stream=fields.get("stream"))
