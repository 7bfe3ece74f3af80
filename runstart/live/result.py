"""The finished result of a run, as one JSON object beside its files."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from runstart.live.head import Frozen, Version
from runstart.storage import ObjectStore

NEXUS_NAME = "run.nxs"


@dataclass(frozen=True)
class Result:
    """A finished result.

    Attributes
    ----------
    folder : str
        Prefix of its files in the object store.
    files : tuple of str
        Names of the files in it.
    thumbnails : dict of str to str
        Small pictures as markdown, by name.
    digest : str
        SHA-256 over views, series and ledger: equal digests are equal results.
    ledger : dict of str to int
        See `runstart.live.ledger.Ledger`.
    proton_charge_uah : float
        In microampere hours.
    stop_time_ns : int
        Stop of the run; the largest int64 for a run that was given up.
    stop_reason : str
        What closed the run.
    first_offsets, end_offsets : dict of str to int
        Half-open offset range of each partition.
    lost : dict of str to list of [first, end]
        Offsets that the broker had deleted.
    late_events : int
        Events of the run that came after its offsets were frozen; in `late_events.npz`, never in the views.
    shortcomings : tuple of str
        Why the run is incomplete, a sentence each; empty if it is complete.
    code_version : str
        Version of Runstart.
    run_id : str
        Dagster run that made it.
    script_sha256 : str
        SHA-256 of the reduction script that made its script pictures; empty without one.
    script_error : str
        Why the script has made nothing; empty if it has, or if there is none.
    script_output : str
        The end of what it printed.
    isolation : str
        What kept it from the rest of the system.
    log_samples : dict of str to int
        For each time-series log the number of its samples.
    """

    folder: str
    files: tuple[str, ...]
    thumbnails: dict[str, str]
    digest: str
    ledger: dict[str, int]
    proton_charge_uah: float
    stop_time_ns: int
    stop_reason: str
    first_offsets: dict[str, int]
    end_offsets: dict[str, int]
    lost: dict[str, list[list[int]]]
    late_events: int
    shortcomings: tuple[str, ...]
    code_version: str
    run_id: str
    script_sha256: str = ""
    script_error: str = ""
    script_output: str = ""
    isolation: str = ""
    log_samples: dict[str, int] = field(default_factory=dict)

    def to_json(self) -> bytes:
        """Return the result as JSON."""
        return json.dumps(asdict(self), indent=1).encode()


def load_result(store: ObjectStore, version: Version) -> Result:
    """Return the result of a version.

    Raises
    ------
    ObjectMissing
        If somebody has removed its files.
    """
    fields: dict[str, Any] = json.loads(store.get(f"{version.folder}/result.json").data)
    known = {name: value for name, value in fields.items() if name in Result.__dataclass_fields__}
    return Result(**known | {name: tuple(fields[name]) for name in ("files", "shortcomings")})


def find_shortcomings(
    ledger: dict[str, int], lost: dict[int, list[tuple[int, int]]], frozen: Frozen, late_events: int
) -> tuple[str, ...]:
    """Return why a run is incomplete, a sentence for each reason; empty if it is complete."""
    found = [
        f"The broker had deleted offsets [{first:,}, {end:,}) of partition {partition}."
        for partition, ranges in sorted(lost.items())
        for first, end in ranges
    ]
    if not frozen.end_offsets:
        found.append("The event topic did not exist: nothing could be read.")
    for column, sentence in (
        ("missing_message_ids", "{:,} message ids are missing between messages that came."),
        ("messages_malformed", "{:,} messages could not be decoded; their events are lost."),
        ("messages_unjudged", "{:,} messages were too old to be checked for duplicates."),
    ):
        if ledger[column]:
            found.append(sentence.format(ledger[column]))
    if late_events:
        found.append(f"{late_events:,} events came after the offsets were frozen; they are kept apart.")
    if not frozen.closed:
        found.append(f"The instrument did not close the run: {frozen.reason}.")
    return tuple(found)
