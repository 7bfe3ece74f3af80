"""Launches probe sessions that are asked for in the object store: each request a Dagster run, exactly once.

A request goes when its run is there. One that is wrong stays for whoever wrote it to mend, and is told once.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

import dagster as dg

from ops.probe_session import PROBE_JOB
from resources import ObjectStoreResource

if TYPE_CHECKING:
    from runstart.probe_sessions.requests import Refused, Request
    from runstart.storage import ObjectStore

INTERVAL_SECONDS = 5
MOST_REQUESTS = 20  # launched in one tick
REQUEST_TAG = "runstart/request"


def define_session_requests_sensor(job: dg.JobDefinition) -> dg.SensorDefinition:
    """Return the sensor that launches what is asked for.

    Parameters
    ----------
    job : JobDefinition
        Runs a probe session.
    """

    @dg.sensor(
        name="session_requests",
        job=job,
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Launches the probe sessions that programs ask for by an object session_requests/NAME.json: "
        '{"count": 1000, "plain_stream": true}. A request that is wrong is refused with the reason, and kept.',
    )
    def session_requests(context: dg.SensorEvaluationContext, object_store: ObjectStoreResource) -> dg.SensorResult:
        from runstart.errors import Transient
        from runstart.probe_sessions.requests import Refused, Request, read_requests

        store = object_store.open()
        told: dict[str, str] = json.loads(context.cursor or "{}")
        try:
            found = read_requests(store)
            refused = [each for each in found if isinstance(each, Refused)]
            launched = list(_launch(context, store, [each for each in found if isinstance(each, Request)]))
        except Transient as error:
            return dg.SensorResult(skip_reason=f"Requests cannot be read: {error}", cursor=context.cursor)
        for each in refused:
            if told.get(each.name) != each.version:
                context.log.warning(f"The request {each.name} is refused. {each.reason}")
        cursor = json.dumps({each.name: each.version for each in refused})
        if launched:
            return dg.SensorResult(run_requests=launched, cursor=cursor)
        return dg.SensorResult(skip_reason=_describe(refused), cursor=cursor)

    return session_requests


def _launch(
    context: dg.SensorEvaluationContext, store: ObjectStore, requests: Iterable[Request]
) -> Iterable[dg.RunRequest]:
    """Yield runs for requests that have none, and remove those that have.

    A tick that dies before its run is there changes nothing: the next one asks for it again, with the same run key.
    """
    from runstart.probe_sessions.requests import remove_request

    launched = 0
    for request in requests:
        run_key = f"{request.name} {request.version}"
        tags = {REQUEST_TAG: run_key}
        if context.instance.get_runs_count(dg.RunsFilter(tags=tags)):
            remove_request(store, request.name)
        elif launched < MOST_REQUESTS:
            launched += 1
            config = {"count": request.count, "plain_stream": request.plain_stream}
            yield dg.RunRequest(run_key, job_name=PROBE_JOB, run_config=config, tags=tags)


def _describe(refused: list[Refused]) -> str:
    if not refused:
        return "There are no new requests."
    return "Refused: " + " ".join(f"{each.name}: {each.reason}" for each in refused[:MOST_REQUESTS])
