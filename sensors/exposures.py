"""Takes up exposures as they arrive: each whole file once, in the night that it belongs to.

A tick launches one Dagster run for each stretch of nights that have new files; it makes their index, and what follows
from it is made by the sensor `nights_follow_exposures`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING

import dagster as dg

from assets import NIGHTS_PER_RUN, Nights
from resources import ObjectStoreResource

if TYPE_CHECKING:
    from runstart.nights import Found, Site

_BEGIN_TAG, _END_TAG = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
_MOST_TOLD = 5
INTERVAL_SECONDS = 30  # each tick that finds something is a Dagster run


def define_exposures_sensor(nights: Nights) -> dg.SensorDefinition:
    """Return the sensor that watches the folder or bucket of a site."""
    site = nights.site

    @dg.sensor(
        name=f"exposures_{site.name}",
        job=nights.arrivals_job,
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Takes up exposures of {site.title or site.name} as they arrive in {site.exposures}.",
    )
    def exposures(
        context: dg.SensorEvaluationContext, object_store: ObjectStoreResource
    ) -> dg.SensorResult | dg.SkipReason:
        from runstart.errors import Transient
        from runstart.nights import find_new

        try:
            found = find_new(site, context.cursor, object_store.open())
        except Transient as error:
            return dg.SkipReason(f"Exposures cannot be listed now: {error}")
        for name, why in [*found.refused.items()][:_MOST_TOLD]:
            context.log.warning(f"{name} is left out: {why}")
        requests = list(_requests(site, found))
        return dg.SensorResult(
            run_requests=requests, cursor=found.cursor, skip_reason=None if requests else _tell(found)
        )

    return exposures


def group_nights(nights: Iterable[str], most: int = NIGHTS_PER_RUN) -> Iterator[Sequence[str]]:
    """Yield stretches of successive nights, none longer than `most`."""
    stretch: list[str] = []
    for night in sorted(nights):
        follows = stretch and date.fromisoformat(night) - date.fromisoformat(stretch[-1]) == timedelta(days=1)
        if stretch and (not follows or len(stretch) == most):
            yield stretch
            stretch = []
        stretch.append(night)
    if stretch:
        yield stretch


def _requests(site: Site, found: Found) -> Iterator[dg.RunRequest]:
    for stretch in group_nights(found.nights):
        versions = [(a.name, a.version) for night in stretch for a in found.nights[night]]
        run_key = f"{site.name} {stretch[0]} {hashlib.sha256(repr(versions).encode()).hexdigest()[:24]}"
        if len(stretch) == 1:
            yield dg.RunRequest(run_key=run_key, partition_key=stretch[0])
        else:
            yield dg.RunRequest(run_key=run_key, tags={_BEGIN_TAG: stretch[0], _END_TAG: stretch[-1]})


def _tell(found: Found) -> str:
    parts = ["No new exposures."]
    if found.incomplete:
        name, why = next(iter(found.incomplete.items()))
        parts.append(f"{len(found.incomplete)} are left alone for now, such as {name}: {why}.")
    if found.refused:
        name, why = next(iter(found.refused.items()))
        parts.append(f"{len(found.refused)} are left out, such as {name}: {why}.")
    return " ".join(parts)
