"""Makes the status of a resource from what is known: the decision, the code location, the sensor and the runs.

What cannot be asked just now is not made up: the sensor becomes `Unknown`, what was known of runs stays, and the error
says which server does not answer. A field is None where there is nothing to tell.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runstart.alerts.conditions import one_line, tell_time
from runstart.alerts.configuration import AlertsConfiguration
from runstart.alerts.live_runs import STALE_SECONDS, find_live_conditions
from runstart.instrument_resources.api import Rollout
from runstart.instrument_resources.crd import READY
from runstart.instrument_resources.dagster_view import DagsterView, RunView
from runstart.instrument_resources.deciding import Placed, Refusal
from runstart.instrument_resources.figures import Figures
from runstart.instrument_resources.resource import Resource
from runstart.metrics.live_status import LiveStatus

FIELDS = (
    "observedGeneration",
    "generationInForce",
    "instrument",
    "topic",
    "sensor",
    "lastRun",
    "lastSnapshot",
    "lag",
    "error",
)

_LONGEST_ERROR = 1000
_LONGEST_MESSAGE = 4000
_ENDED = {"SUCCESS": "Finished", "FAILURE": "Failed", "CANCELED": "Canceled"}
_BEGINNING = {"QUEUED": "Queued", "NOT_STARTED": "Queued", "STARTING": "Starting", "STARTED": "Starting"}


@dataclass(frozen=True)
class Known:
    """What is known at one moment.

    Attributes
    ----------
    digest : str
        Of the text that is in force.
    rollout : Rollout or str
        How far the code location has come, or why that cannot be told.
    figures : Figures or str
        What runs tell, or why that cannot be told.
    dagster : DagsterView or str
        What Dagster knows, or why that cannot be told; empty if there is no webserver to ask.
    now : float
        Time in s since 1970.
    """

    digest: str
    rollout: Rollout | str
    figures: Figures | str
    dagster: DagsterView | str
    now: float


def make_status(resource: Resource, placed: Placed | None, refusal: Refusal | None, known: Known) -> dict[str, Any]:
    """Return the status of a resource.

    Parameters
    ----------
    resource : Resource
        With the status that it has now.
    placed : Placed, optional
        The version of it that is in force.
    refusal : Refusal, optional
        Why the newest version is not.
    known : Known
        Everything else.

    Returns
    -------
    dict of str to object
        Every field of `FIELDS`, and the conditions; what is not known as long as all is blocked is left out.
    """
    status: dict[str, Any] = {"observedGeneration": resource.generation, "instrument": resource.instrument}
    if refusal is None or refusal.reason != "Blocked":
        status |= {**dict.fromkeys(FIELDS), **status, "sensor": "Absent"}
    if placed is not None and placed.declared is not None:
        declared = placed.declared
        sensor, sensor_error = _judge_sensor(declared.live_reduction, declared.kafka, known.dagster)
        status |= {
            "generationInForce": placed.generation,
            "instrument": placed.instrument,
            "topic": f"{declared.kafka}/{declared.topics.events}",
            "sensor": sensor,
            **_tell_runs(placed.instrument, resource.status, known),
        }
        status["error"] = status["error"] or sensor_error or None
    ready, reason, message = _judge(placed, refusal, known)
    status["conditions"] = [_condition(resource, ready, reason, message, known.now)]
    return status


def differs(status: Mapping[str, Any], written: Mapping[str, Any]) -> bool:
    """Tell whether a status says something else than the one that the resource has."""
    return any(value != written.get(name) for name, value in status.items())


def _judge(placed: Placed | None, refusal: Refusal | None, known: Known) -> tuple[str, str, str]:
    """Return status, reason and message of the condition."""
    if refusal is not None:
        stays = "No version of it is in force." if refusal.reason != "Blocked" else "What is in force stays so."
        if placed is not None:
            stays = f"The version before it (generation {placed.generation}) stays in force."
        return "False", refusal.reason, f"{refusal.text} {stays}"
    if isinstance(known.rollout, str):
        return "Unknown", "CodeLocationUnknown", known.rollout
    if known.rollout.digest == known.digest and known.rollout.done:
        return "True", "InForce", "The code location has loaded this version."
    if known.rollout.trouble:
        return (
            "False",
            "CodeLocationStuck",
            f"The code location that reads this version does not get ready: {known.rollout.trouble}",
        )
    return (
        "False",
        "Loading",
        "The code location is being replaced by one that reads this version; the old one serves.",
    )


def _condition(resource: Resource, ready: str, reason: str, message: str, now: float) -> dict[str, Any]:
    conditions: list[dict[str, Any]] = resource.status.get("conditions") or []
    before = next((condition for condition in conditions if condition["type"] == READY), {})
    since = before.get("lastTransitionTime") if before.get("status") == ready else None
    return {
        "type": READY,
        "status": ready,
        "reason": reason,
        "message": one_line(message, _LONGEST_MESSAGE),
        "lastTransitionTime": since or tell_time(now),
        "observedGeneration": resource.generation,
    }


def _judge_sensor(live_reduction: bool, kafka: str, dagster: DagsterView | str) -> tuple[str, str]:
    """Return whether a RunStart starts a live run, and what is wrong."""
    if isinstance(dagster, str):
        return ("Unknown", dagster) if live_reduction else ("Off", "")
    name = "run_starts" if kafka == "default" else f"run_starts_{kafka}"
    sensor = dagster.sensors.get(name)
    if sensor is None:
        trouble = dagster.load_error or f"Dagster has no sensor {name}."
        return "Absent", one_line(
            f"The code location: {trouble}" if dagster.load_error else trouble, _LONGEST_ERROR
        )
    if not live_reduction or not sensor.running:
        return "Off", ""
    return ("Failing", one_line(f"Sensor {name}: {sensor.error}", _LONGEST_ERROR)) if sensor.error else ("On", "")


def _tell_runs(instrument: str, written: Mapping[str, Any], known: Known) -> dict[str, Any]:
    """Return last run, last snapshot, lag and error."""
    kept = {name: written.get(name) for name in ("lastRun", "lastSnapshot")}
    if isinstance(known.figures, str):
        return kept | {"lag": None, "error": known.figures}
    live = known.figures.live.get(instrument)
    run = None if isinstance(known.dagster, str) else known.dagster.runs.get(instrument)
    finished = known.figures.finished.get(instrument, "")
    newest = max(live.partition_key if live else "", run.key if run else "", finished)
    told: dict[str, Any] = kept | {"lag": None, "error": None}
    if not newest:
        return told
    live = live if live is not None and live.partition_key == newest else None
    run = run if run is not None and run.key == newest else None
    fresh = live is not None and live.age(known.now) <= STALE_SECONDS
    told["lastRun"] = {"name": _name(live, run, newest), "key": newest, "state": _state(live, run, fresh)}
    if live is not None and fresh:
        told["lag"] = round(live.lag_seconds, 1)
        if live.snapshot_age_seconds is not None:
            told["lastSnapshot"] = tell_time(live.written_at - live.snapshot_age_seconds)
    told["error"] = _error(live, run, known.now)
    return told


def _name(live: LiveStatus | None, run: RunView | None, key: str) -> str:
    return (live.run_name if live else "") or (run.name if run else "") or key.partition("_")[2]


def _state(live: LiveStatus | None, run: RunView | None, fresh: bool) -> str:
    if live is not None and fresh:
        return live.phase.capitalize()
    if run is not None and run.status in _ENDED:
        return _ENDED[run.status]
    if live is not None:
        return "Silent"
    return _BEGINNING.get(run.status, run.status.capitalize()) if run is not None else "Finished"


def _error(live: LiveStatus | None, run: RunView | None, now: float) -> str | None:
    """Return what a person should look at: what alerts would tell of the run by the rules that they begin with."""
    if run is not None and run.status == "FAILURE":
        return f"The Dagster run {run.run_id} failed; its page says why."
    if live is None or (run is not None and run.status in _ENDED):
        return None
    found = find_live_conditions([live], AlertsConfiguration(), now)
    return " ".join(condition.text for condition in found)[:_LONGEST_ERROR] or None
