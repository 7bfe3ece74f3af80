"""Asks Dagster's webserver, by GraphQL, whether the sensors are on and how the newest runs stand.

The read-only webserver is enough. One query is sent for all instruments.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from runstart.errors import Transient

_TIMEOUT = (3.0, 10.0)  # seconds to connect, and to wait for a part of the answer
_INSTRUMENT_TAG, _NAME_TAG, _PARTITION_TAG = "runstart/instrument", "runstart/run_name", "dagster/partition"

_SENSORS = """
  workspaceOrError {
    ... on Workspace { locationEntries { locationOrLoadError {
      ... on RepositoryLocation { repositories { sensors { name sensorState {
        status ticks(limit: 1) { status error { message } }
      } } } }
      ... on PythonError { message }
    } } }
  }
"""
_RUN = "results { runId status tags { key value } }"


@dataclass(frozen=True)
class SensorView:
    """A sensor as Dagster has it.

    Attributes
    ----------
    running : bool
        Whether it is switched on.
    error : str
        Why its newest tick failed; empty if it did not.
    """

    running: bool
    error: str = ""


@dataclass(frozen=True)
class RunView:
    """A Dagster run of an instrument.

    Attributes
    ----------
    run_id, status : str
        As Dagster has them.
    key, name : str
        Partition and name of the instrument's run.
    """

    run_id: str
    status: str
    key: str
    name: str


@dataclass(frozen=True)
class DagsterView:
    """What Dagster knows.

    Attributes
    ----------
    sensors : mapping of str to SensorView
        By name.
    runs : mapping of str to RunView
        The newest Dagster run of each instrument.
    load_error : str
        Why a code location does not load; empty if all do.
    """

    sensors: Mapping[str, SensorView] = field(default_factory=dict)
    runs: Mapping[str, RunView] = field(default_factory=dict)
    load_error: str = ""


def ask_dagster(url: str, instruments: Iterable[str]) -> DagsterView:
    """Return what Dagster knows.

    Parameters
    ----------
    url : str
        Address of a webserver, such as `http://webserver-read-only`.
    instruments : iterable of str
        Names of the instruments whose newest runs are wanted.

    Returns
    -------
    DagsterView

    Raises
    ------
    Transient
        If it does not answer, or not with what was asked for.
    """
    import requests

    names = sorted(instruments)
    query, variables = _make_query(names)
    try:
        answer = requests.post(
            f"{url.rstrip('/')}/graphql", json={"query": query, "variables": variables}, timeout=_TIMEOUT
        )
        answer.raise_for_status()
        return _understand(answer.json()["data"], names)
    except (requests.RequestException, KeyError, TypeError, ValueError) as error:
        raise Transient(f"Dagster's webserver {url} does not answer: {type(error).__name__}: {error}") from error


def _make_query(names: list[str]) -> tuple[str, dict[str, str]]:
    variables = {f"name{number}": name for number, name in enumerate(names)}
    declared = ", ".join(f"${variable}: String!" for variable in variables)
    runs = "\n".join(
        f'  run{number}: runsOrError(filter: {{tags: [{{key: "{_INSTRUMENT_TAG}", value: $name{number}}}]}}, limit: 1) '
        f"{{ ... on Runs {{ {_RUN} }} }}"
        for number in range(len(names))
    )
    return f"query Instruments{f'({declared})' if declared else ''} {{{_SENSORS}{runs}\n}}", variables


def _understand(data: dict[str, Any], names: list[str]) -> DagsterView:
    sensors: dict[str, SensorView] = {}
    load_error = ""
    for entry in data["workspaceOrError"]["locationEntries"]:
        location = entry["locationOrLoadError"] or {}
        load_error = load_error or location.get("message", "")
        for repository in location.get("repositories", ()):
            for sensor in repository["sensors"]:
                sensors[sensor["name"]] = _sensor(sensor["sensorState"])
    runs = {
        name: _run(found["results"][0])
        for number, name in enumerate(names)
        if (found := data[f"run{number}"]).get("results")
    }
    return DagsterView(sensors, runs, load_error)


def _sensor(state: dict[str, Any]) -> SensorView:
    newest = (state["ticks"] or [{}])[0]
    failed = newest.get("status") == "FAILURE"
    message = (newest.get("error") or {}).get("message") or "its newest tick failed"
    return SensorView(state["status"] == "RUNNING", message if failed else "")


def _run(run: dict[str, Any]) -> RunView:
    tags = {tag["key"]: tag["value"] for tag in run["tags"]}
    return RunView(run["runId"], run["status"], tags.get(_PARTITION_TAG, ""), tags.get(_NAME_TAG, ""))
