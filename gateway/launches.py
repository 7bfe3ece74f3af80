"""Launches that are one run however often, and by how many gateways at once, they are asked for.

Dagster gives every run an id of its own, so that what is asked for twice would run twice. Here a launch has a key; who
puts the key's object first launches, and the others read its run there. A launch that was cut off between the two is
taken over after a time that no question to Dagster outlives, and its run is looked for by its tag first.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any

from starlette.concurrency import run_in_threadpool

from gateway.dagster_client import DagsterAway, DagsterClient
from runstart.errors import Alert, Transient
from runstart.storage import ObjectMissing, ObjectStore, PreconditionFailed

__all__ = ["LAUNCH_TAG", "Launches"]

LAUNCH_TAG = "runstart/launch"
TAKEN_OVER_AFTER_S = 90.0
_PREFIX = "gateway/launches/"
_INTERVAL_S = 0.2


class BeingLaunched(Transient):
    """Another request launches the same just now."""

    told = "This is being launched by another request. Try again."


class Launches:
    """Launches by key.

    Parameters
    ----------
    store : ObjectStore
        Keeps which key has which run.
    dagster : DagsterClient
        Runs them.
    patience_s : float, optional
        How long to wait for another request that launches the same, in seconds.
    clock : callable, optional
        Gives epoch seconds.
    """

    def __init__(
        self,
        store: ObjectStore,
        dagster: DagsterClient,
        patience_s: float = 10.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._dagster = dagster
        self._patience_s = patience_s
        self._clock = clock

    async def launch(self, job: str, key: str, config: Mapping[str, Any], tags: Mapping[str, str]) -> str:
        """Launch a run unless this key has one; return the run's id.

        Parameters
        ----------
        job : str
            Name of the job.
        key : str
            What makes two requests the same, such as `probe/SESSION`.
        config : mapping
            Run config.
        tags : mapping of str to str
            Tags of the run; the key's digest is added.

        Raises
        ------
        Alert
            The config is not as the job needs it; the key stays free.
        Transient
            Dagster or the store does not answer, or another request has not finished launching it.
        """
        name = hashlib.sha256(key.encode()).hexdigest()[:32]
        deadline = asyncio.get_running_loop().time() + self._patience_s
        while True:
            claim, etag, run_id = await self._claim(name, key)
            if run_id is not None:
                return run_id
            if claim is not None and etag is not None:
                return await self._launch(job, name, claim, etag, config, tags)
            if asyncio.get_running_loop().time() >= deadline:
                raise BeingLaunched(f"The launch {name} is not finished by who began it.")
            await asyncio.sleep(_INTERVAL_S)

    async def _claim(self, name: str, key: str) -> tuple[dict[str, Any] | None, str | None, str | None]:
        """Return a claim of our own with its etag, or the run of who was first, or nothing yet."""
        return await run_in_threadpool(self._try_claim, name, key)

    def _try_claim(self, name: str, key: str) -> tuple[dict[str, Any] | None, str | None, str | None]:
        claim = {
            "key": key[:400],
            "by": secrets.token_hex(8),
            "at": self._clock(),
            "run_id": None,
            "is_first": True,
        }
        try:
            return claim, self._store.put_if_absent(_object(name), json.dumps(claim).encode()), None
        except PreconditionFailed:
            pass
        try:
            stored = self._store.get(_object(name))
        except ObjectMissing:
            return None, None, None
        theirs = json.loads(stored.data)
        if theirs["run_id"] is not None:
            return None, None, str(theirs["run_id"])
        if self._clock() - theirs["at"] < TAKEN_OVER_AFTER_S:
            return None, None, None
        claim["is_first"] = False
        try:
            return claim, self._store.put_if_match(_object(name), json.dumps(claim).encode(), stored.etag), None
        except PreconditionFailed:
            return None, None, None

    async def _launch(
        self,
        job: str,
        name: str,
        claim: dict[str, Any],
        etag: str,
        config: Mapping[str, Any],
        tags: Mapping[str, str],
    ) -> str:
        try:
            found = [] if claim["is_first"] else await self._dagster.runs({LAUNCH_TAG: name}, limit=1, cached=False)
            run_id = (
                found[0].run_id if found else await self._dagster.launch(job, config, {**tags, LAUNCH_TAG: name})
            )
        except Alert:
            await run_in_threadpool(self._store.delete, _object(name))
            raise
        except DagsterAway as error:
            if claim["is_first"] and not error.may_have_run:
                await run_in_threadpool(self._store.delete, _object(name))
            raise
        done = json.dumps({**claim, "run_id": run_id}).encode()
        try:
            await run_in_threadpool(self._store.put_if_match, _object(name), done, etag)
        except PreconditionFailed:
            raise BeingLaunched(f"The launch {name} has been taken over by another request.") from None
        return run_id


def _object(name: str) -> str:
    return f"{_PREFIX}{name}.json"
