from __future__ import annotations

import asyncio

from gateway_kit import FakeDagster, make_settings

from gateway import make_app
from gateway.context import Gateway
from gateway.run_info import start_run
from gateway.tokens import Caller, Scope
from runstart.storage import FileStore


def test_nobody_gets_the_run_of_another_by_writing_that_name_into_the_key(file_store: FileStore) -> None:
    dagster = FakeDagster()
    gateway: Gateway = make_app(make_settings(), file_store, dagster.client()).state.gateway

    async def start(user: str, once: str) -> str:
        return (await start_run(gateway, Caller(user, Scope.LAUNCH), "night", once, {}, {})).run_id

    async def work() -> list[str]:
        runs = [await start(*each) for each in (("maria/1", "a"), ("maria", "1/a"), ("maria/1", "a"))]
        await gateway.dagster.close()
        return runs

    first, other, again = asyncio.run(work())
    assert first == again != other
    assert [run["runId"] for run in dagster.runs] == [first, other]
