"""Takes up scans as they arrive: each version of a scan once, followed while it grows, processed in batches if it is whole.

Partitions are added, and runs asked for, in the same tick as the cursor moves; a tick that fails moves nothing. A scan that
is announced on Kafka too has the same run key: it is one run, whoever sees it first.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import dagster as dg

from assets import MICROSCOPE_TAG, Scans, scan_job_name, scan_partitions
from ops.scan_following import live_scan_job_name
from ops.tags import BATCH, KIND_TAG, LIVE
from resources import ObjectStoreResource

if TYPE_CHECKING:
    from runstart.microscopes import Microscope
    from runstart.scans import FoundScan, FoundScans

INTERVAL_SECONDS = 3
LIVE_PRIORITY = 100  # before everything else in the queue
_MOST_TOLD = 5


def define_scans_sensor(scans: Scans) -> dg.SensorDefinition:
    """Return the sensor that watches the folder or bucket of a microscope."""
    microscope = scans.microscope

    @dg.sensor(
        name=f"scans_{microscope.name}",
        jobs=[scans.job, scans.live_job],
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Takes up scans of {microscope.title or microscope.name} as they arrive in {microscope.scans}.",
    )
    def new_scans(
        context: dg.SensorEvaluationContext, object_store: ObjectStoreResource
    ) -> dg.SensorResult | dg.SkipReason:
        from runstart.errors import Transient
        from runstart.scans import find_scans

        try:
            found = find_scans(microscope, context.cursor, object_store.open())
        except Transient as error:
            return dg.SkipReason(f"Scans cannot be listed now: {error} The next look tries again.")
        for name, why in [*found.refused.items()][:_MOST_TOLD]:
            context.log.warning(f"{name} is left out: {why}")
        return answer_scans(found.scans, {microscope.name: microscope}, found.cursor, _tell(found))

    return new_scans


def answer_scans(
    found: Iterable[FoundScan], microscopes: dict[str, Microscope], cursor: str, reason: str
) -> dg.SensorResult:
    """Return what a tick asks for: partitions of all scans, and runs of those that are to be launched.

    Parameters
    ----------
    found : iterable of FoundScan
        In the order in which they are launched.
    microscopes : dict of str to Microscope
        Whose scans they may be, by name.
    cursor : str
        Is kept together with it.
    reason : str
        Why nothing is launched, if nothing is.
    """
    keys: dict[str, dict[str, None]] = {}
    requests: dict[str, dg.RunRequest] = {}
    for each in found:
        keys.setdefault(each.record.microscope, {})[each.record.scan] = None
        if each.launch:
            request = _request(each, microscopes[each.record.microscope])
            requests[str(request.run_key)] = request
    return dg.SensorResult(
        run_requests=list(requests.values()),
        dynamic_partitions_requests=[
            scan_partitions(name).build_add_request([*added]) for name, added in keys.items()
        ],
        cursor=cursor,
        skip_reason=None if requests else reason,
    )


def _request(found: FoundScan, microscope: Microscope) -> dg.RunRequest:
    from runstart.scans import run_key

    # A scan that fits into one batch would gain nothing of steps of its own.
    is_followed = found.growing or found.bytes < microscope.batch_bytes
    name = microscope.name
    tags = {KIND_TAG: LIVE, "dagster/priority": str(LIVE_PRIORITY)} if found.growing else {KIND_TAG: BATCH}
    return dg.RunRequest(
        run_key=run_key(found.record),
        job_name=live_scan_job_name(name) if is_followed else scan_job_name(name),
        partition_key=found.record.scan,
        tags=tags | {MICROSCOPE_TAG: name},
    )


def _tell(found: FoundScans) -> str:
    parts = ["No scan to launch."]
    if found.scans:
        parts.append(f"{len(found.scans)} of the backlog became partitions.")
    if found.left_alone:
        name, why = next(iter(found.left_alone.items()))
        parts.append(f"{len(found.left_alone)} are left alone for now, such as {name}: {why}.")
    if found.refused:
        name, why = next(iter(found.refused.items()))
        parts.append(f"{len(found.refused)} are left out, such as {name}: {why}.")
    return " ".join(parts)
