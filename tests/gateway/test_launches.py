from __future__ import annotations

import asyncio
from typing import Any

import pytest
from gateway_kit import FakeDagster

from gateway.dagster_client import DagsterAway
from gateway.launches import LAUNCH_TAG, TAKEN_OVER_AFTER_S, BeingLaunched, Launches
from runstart.errors import Alert
from runstart.storage import ObjectStore

JOB, KEY = "probe", "probe/one"


class House:
    """A Dagster, a store, and a clock that is moved by hand."""

    def __init__(self, store: ObjectStore) -> None:
        self.store = store
        self.dagster = FakeDagster()
        self.now = 1000.0

    def launch(self, *keys: str, patience_s: float = 10.0) -> list[Any]:
        """Launch these at once, each by a gateway of its own; return run ids or errors."""

        async def run() -> list[Any]:
            clients = [self.dagster.client() for _ in keys]
            gateways = [Launches(self.store, client, patience_s, lambda: self.now) for client in clients]
            work = [gateway.launch(JOB, key, {}, {}) for gateway, key in zip(gateways, keys, strict=True)]
            results = await asyncio.gather(*work, return_exceptions=True)
            for client in clients:
                await client.close()
            return results

        return asyncio.run(run())


@pytest.fixture
def house(store: ObjectStore) -> House:
    return House(store)


def test_one_key_is_one_run_however_often_it_is_asked_for(house: House) -> None:
    first = house.launch(KEY)
    assert house.launch(KEY) == first
    assert len(house.dagster.runs) == 1
    assert house.launch("probe/other") != first


def test_one_key_asked_for_by_many_gateways_at_once_is_one_run(house: House) -> None:
    results = house.launch(*[KEY] * 8)
    assert len(set(results)) == 1
    assert [run["runId"] for run in house.dagster.runs] == results[:1]


def test_a_launch_whose_answer_was_lost_is_found_by_its_tag(house: House) -> None:
    house.dagster.breaks_after_launch = True
    (error,) = house.launch(KEY)
    assert isinstance(error, DagsterAway)
    house.dagster.breaks_after_launch = False
    (error,) = house.launch(KEY, patience_s=0.1)
    assert isinstance(error, BeingLaunched)
    house.now += TAKEN_OVER_AFTER_S
    assert house.launch(KEY) == [house.dagster.runs[0]["runId"]]
    assert len(house.dagster.runs) == 1
    assert {tag["key"] for tag in house.dagster.runs[0]["tags"]} == {LAUNCH_TAG}


def test_a_launch_of_a_gateway_that_died_is_taken_over_once(house: House) -> None:
    house.dagster.hangs = True

    async def die() -> None:
        launches = Launches(house.store, house.dagster.client(), clock=lambda: house.now)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(launches.launch(JOB, KEY, {}, {}), 0.5)

    asyncio.run(die())
    house.dagster.hangs = False
    house.now += TAKEN_OVER_AFTER_S
    results = house.launch(*[KEY] * 4)
    assert len(set(results)) == len(house.dagster.runs) == 1


def test_a_connection_that_was_refused_leaves_the_key_free(house: House) -> None:
    house.dagster.is_away = True
    (error,) = house.launch(KEY)
    assert isinstance(error, DagsterAway)
    house.dagster.is_away = False
    assert house.launch(KEY) == [house.dagster.runs[0]["runId"]]


def test_a_config_that_was_refused_leaves_the_key_free(house: House) -> None:
    house.dagster.refuses = "Missing x"
    (error,) = house.launch(KEY)
    assert isinstance(error, Alert)
    house.dagster.refuses = ""
    assert house.launch(KEY) == [house.dagster.runs[0]["runId"]]
