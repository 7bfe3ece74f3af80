"""Dagster, by GraphQL over HTTP: launching and stopping runs, and what they are doing.

Every question ends within the time limit, by an answer or by `DagsterAway`, which becomes 503 with Retry-After. Readings
are shared for a second, so that a hundred people who watch one page ask Dagster once.
"""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import httpx

from runstart.errors import Alert, Transient

__all__ = ["DagsterAway", "DagsterClient", "Run"]

REPOSITORY = "__repository__"
FINAL_STATUSES = frozenset({"SUCCESS", "FAILURE", "CANCELED"})
CACHE_S = 1.0
_Reading: TypeAlias = tuple[float, asyncio.Task[dict[str, Any]]]
"""Until when an answer is good, and who gets it."""

_MOST_RUNS = 1000
_MOST_CACHED = 500

_LAUNCH = """
mutation Launch($params: ExecutionParams!) {
  launchRun(executionParams: $params) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on RunConfigValidationInvalid { errors { message } }
    ... on PipelineNotFoundError { message }
    ... on InvalidSubsetError { message }
    ... on PythonError { message }
    ... on UnauthorizedError { message }
  }
}
"""
_STOP = """
mutation Stop($id: String!) {
  terminateRun(runId: $id, terminatePolicy: SAFE_TERMINATE) {
    __typename
    ... on TerminateRunFailure { message }
    ... on PythonError { message }
    ... on UnauthorizedError { message }
  }
}
"""
_RUNS = """
query Runs($filter: RunsFilter, $limit: Int, $cursor: String) {
  runsOrError(filter: $filter, limit: $limit, cursor: $cursor) {
    __typename
    ... on Runs { results { runId jobName status creationTime startTime endTime tags { key value } } }
    ... on InvalidPipelineRunsFilterError { message }
    ... on PythonError { message }
  }
}
"""
_PING = "{ version }"


class DagsterAway(Transient):
    """Dagster does not answer.

    Parameters
    ----------
    text : str
        What happened, for the log.
    may_have_run : bool
        Whether what was asked for may have been done all the same.
    """

    told = "Dagster does not answer. Try again."

    def __init__(self, text: str, *, may_have_run: bool = True) -> None:
        super().__init__(text)
        self.may_have_run = may_have_run


@dataclass(frozen=True)
class Run:
    """A run of Dagster.

    Attributes
    ----------
    run_id : str
        Its id.
    job : str
        Name of its job.
    status : str
        As Dagster names it: QUEUED, NOT_STARTED, STARTING, STARTED, SUCCESS, FAILURE, CANCELING or CANCELED.
    tags : dict of str to str
        Its tags.
    created_at, started_at, ended_at : float or None
        Epoch seconds.
    """

    run_id: str
    job: str
    status: str
    tags: Mapping[str, str]
    created_at: float | None
    started_at: float | None
    ended_at: float | None

    @property
    def is_over(self) -> bool:
        """Whether it has ended, in whatever way."""
        return self.status in FINAL_STATUSES


class DagsterClient:
    """Asks one Dagster webserver; of one event loop.

    Parameters
    ----------
    url : str
        Address of the webserver.
    location : str
        Name of the code location.
    timeout_s : float
        Longest time of one question, in seconds.
    transport : httpx.AsyncBaseTransport, optional
        In place of the network.
    """

    def __init__(
        self, url: str, location: str, timeout_s: float, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._location = location
        self._timeout_s = timeout_s
        # Neither proxies nor netrc of the environment: this is one known server.
        self._http = httpx.AsyncClient(base_url=url, timeout=timeout_s, transport=transport, trust_env=False)
        self._readings: dict[str, _Reading] = {}

    async def close(self) -> None:
        """Close the connections."""
        for _, task in self._readings.values():
            task.cancel()
        await self._http.aclose()

    async def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """Return the data that a GraphQL query asks for, or that a mutation answers.

        Parameters
        ----------
        query : str
            GraphQL.
        **variables
            Its variables.

        Raises
        ------
        DagsterAway
            No answer within the time limit, or none that is GraphQL's.
        RuntimeError
            The query is wrong: a bug.
        """
        try:
            # httpx limits each read, not the whole answer.
            async with asyncio.timeout(self._timeout_s):
                answer = await self._http.post("/graphql", json={"query": query, "variables": variables})
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise DagsterAway(f"No connection to Dagster: {error!r}", may_have_run=False) from error
        except (httpx.HTTPError, TimeoutError) as error:
            raise DagsterAway(f"Dagster did not answer: {error!r}") from error
        try:
            table = answer.json()
        except ValueError as error:
            raise DagsterAway(f"Dagster answered {answer.status_code}, and no JSON.") from error
        if not isinstance(table, dict) or (answer.is_error and "errors" not in table):
            raise DagsterAway(f"Dagster answered {answer.status_code}.")
        if table.get("errors"):
            raise RuntimeError(f"Dagster finds fault with a query: {str(table['errors'])[:2000]}")
        data: dict[str, Any] = table["data"]
        return data

    async def read(self, query: str, **variables: Any) -> dict[str, Any]:
        """Return what `ask` returned at most `CACHE_S` ago; those who ask the same at once share one question."""
        key = json.dumps([query, variables], sort_keys=True)
        known = self._readings.get(key)
        if known is None or known[0] <= time.monotonic():
            known = self._begin_reading(key, query, variables)
        return await asyncio.shield(known[1])

    async def check(self) -> None:
        """Raise `DagsterAway` if Dagster does not answer; at most a second old."""
        await self.read(_PING)

    async def launch(self, job: str, config: Mapping[str, Any], tags: Mapping[str, str]) -> str:
        """Launch a run, and return its id; `gateway.launches` does it once however often it is asked for.

        Parameters
        ----------
        job : str
            Name of the job.
        config : mapping
            Its run config.
        tags : mapping of str to str
            Tags of the run.

        Raises
        ------
        Alert
            The config is not as the job needs it, or there is no such job.
        DagsterAway
            No answer: there may be a run, or none.
        """
        selector = {"jobName": job, "repositoryName": REPOSITORY, "repositoryLocationName": self._location}
        listed = [{"key": key, "value": value} for key, value in sorted(tags.items())]
        params = {"selector": selector, "runConfigData": dict(config), "executionMetadata": {"tags": listed}}
        result = (await self.ask(_LAUNCH, params=params))["launchRun"]
        match result["__typename"]:
            case "LaunchRunSuccess":
                return str(result["run"]["runId"])
            case "RunConfigValidationInvalid":
                raise Alert(f"{job} cannot be started so: {result['errors'][0]['message']}", "Mend the settings.")
            case "PipelineNotFoundError":
                raise Alert(f"There is no job {job!r}.", "See Dagster's list of jobs.")
        raise DagsterAway(f"Dagster did not launch {job}: {str(result)[:2000]}")

    async def stop(self, run_id: str) -> bool:
        """Ask Dagster to stop a run; return False if there is none, or it is over.

        Raises
        ------
        DagsterAway
            No answer, or not that it is being stopped.
        """
        result = (await self.ask(_STOP, id=run_id))["terminateRun"]
        if result["__typename"] == "TerminateRunSuccess":
            return True
        if result["__typename"] == "RunNotFoundError":
            return False
        run = await self.run(run_id)
        if run is None or run.is_over:
            return False
        raise DagsterAway(f"Dagster did not stop {run_id}: {str(result)[:2000]}")

    async def run(self, run_id: str) -> Run | None:
        """Return a run, or None if there is none of this id."""
        found = await self._runs({"runIds": [run_id]}, 1, None, cached=False)
        return found[0] if found else None

    async def runs(
        self,
        tags: Mapping[str, str] | None = None,
        *,
        job: str | None = None,
        statuses: Sequence[str] = (),
        limit: int = 100,
        cursor: str | None = None,
        cached: bool = True,
    ) -> list[Run]:
        """Return runs, newest first.

        Parameters
        ----------
        tags : mapping of str to str, optional
            Tags that they have.
        job : str, optional
            Name of their job.
        statuses : sequence of str, optional
            Only these.
        limit : int, optional
            At most so many, and 1000.
        cursor : str, optional
            Id of the run after which to go on.
        cached : bool, optional
            Whether the answer may be a second old.
        """
        wanted: dict[str, Any] = {"tags": [{"key": k, "value": v} for k, v in sorted((tags or {}).items())]}
        if job is not None:
            wanted["pipelineName"] = job
        if statuses:
            wanted["statuses"] = list(statuses)
        return await self._runs(wanted, min(limit, _MOST_RUNS), cursor, cached=cached)

    async def _runs(self, wanted: dict[str, Any], limit: int, cursor: str | None, *, cached: bool) -> list[Run]:
        ask = self.read if cached else self.ask
        result = (await ask(_RUNS, filter=wanted, limit=limit, cursor=cursor))["runsOrError"]
        if result["__typename"] != "Runs":
            raise DagsterAway(f"Dagster did not list runs: {str(result)[:2000]}")
        return [_run(row) for row in result["results"]]

    def _begin_reading(self, key: str, query: str, variables: dict[str, Any]) -> _Reading:
        now = time.monotonic()
        if len(self._readings) >= _MOST_CACHED:
            self._readings = {key: each for key, each in self._readings.items() if each[0] > now}
        task = asyncio.create_task(self.ask(query, **variables))
        task.add_done_callback(lambda done: self._keep_answer(key, done))
        # While it is asked it is shared; `ask` ends within the time limit.
        self._readings[key] = (math.inf, task)
        return self._readings[key]

    def _keep_answer(self, key: str, done: asyncio.Task[dict[str, Any]]) -> None:
        """Keep an answer for a while; a failure is told to those who wait for it, and not kept."""
        if done.cancelled() or done.exception() is not None:
            self._readings.pop(key, None)
        else:
            self._readings[key] = (time.monotonic() + CACHE_S, done)


def _run(row: Mapping[str, Any]) -> Run:
    return Run(
        run_id=row["runId"],
        job=row["jobName"],
        status=row["status"],
        tags={tag["key"]: tag["value"] for tag in row["tags"]},
        created_at=row["creationTime"],
        started_at=row["startTime"],
        ended_at=row["endTime"],
    )
