"""Gateways in processes of their own, on one store: nothing that matters is in the memory of one of them."""

from __future__ import annotations

import os
import random
import re
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from gateway_kit import FakeDagster, RunningGateway, Wallet, make_order, run_gateway
from waiting import let_pass, wait_until

from gateway.tokens import Scope, TokenBook
from runstart.compute import JobBook
from runstart.storage import FileStore

COMPUTE = "/api/v1/operator/compute"


@dataclass
class Facility:
    """A Dagster, a store, and how gateways are started on them."""

    dagster: FakeDagster
    folder: Path
    environ: dict[str, str]

    @property
    def store(self) -> FileStore:
        """The store of all gateways."""
        return FileStore(self.folder / "store")


@pytest.fixture
def facility(tmp_path: Path) -> Iterator[Facility]:
    dagster = FakeDagster()
    with dagster.serving() as url:
        environ = {
            "RUNSTART_OBJECT_STORE": f"file:{tmp_path / 'store'}",
            "RUNSTART_DAGSTER_URL": url,
            "RUNSTART_COMPUTE_ENVIRONMENT": "ocean-compute",
            "RUNSTART_GATEWAY_RATE": "100000",
            "RUNSTART_GATEWAY_BURST": "100000",
            "SIGNATURE_REQUIRED": "0",
            "maxJobDuration": "600",
        }
        yield Facility(dagster, tmp_path, environ)


def post(gateway: RunningGateway, order: dict[str, Any]) -> int:
    """Return the status of an answer, or 0 if the gateway broke off."""
    try:
        return httpx.post(f"{gateway.url}{COMPUTE}", json=order, timeout=60, trust_env=False).status_code
    except httpx.HTTPError:
        return 0


@pytest.mark.faults
def test_two_gateways_take_one_nonce_once_and_serve_each_others_jobs(facility: Facility) -> None:
    owner = Wallet()
    with (
        run_gateway(facility.folder, facility.environ) as one,
        run_gateway(facility.folder, facility.environ) as other,
    ):
        signed = make_order(owner)
        orders = [signed | {"agreementId": f"0xagreement{number}"} for number in range(16)]
        together = threading.Barrier(len(orders))

        def post_together(gateway: RunningGateway, order: dict[str, Any]) -> int:
            together.wait()
            return post(gateway, order)

        with ThreadPoolExecutor(len(orders)) as threads:
            statuses = list(threads.map(post_together, [one, other] * 8, orders))
        assert sorted(statuses) == [200] + [400] * 15
        for gateway in (one, other):
            found = httpx.get(f"{gateway.url}{COMPUTE}", params=owner.signed(owner.address), trust_env=False).json()
            assert len(found) == 1
    assert len(facility.dagster.runs) == 1


@pytest.mark.faults
def test_a_gateway_that_is_killed_at_any_instant_leaves_whole_jobs_and_no_nonce_twice(facility: Facility) -> None:
    owners = [Wallet() for _ in range(4)]
    sent: list[dict[str, Any]] = []

    def order_on_and_on(gateway: RunningGateway, owner: Wallet) -> None:
        while True:
            order = make_order(owner)
            sent.append(order)
            if post(gateway, order) == 0:
                return

    for _ in range(3):
        before = len(facility.store.list("compute/jobs/"))
        with run_gateway(facility.folder, facility.environ) as gateway, ThreadPoolExecutor(len(owners)) as threads:
            work = [threads.submit(order_on_and_on, gateway, owner) for owner in owners]
            wait_until(
                lambda before=before: len(facility.store.list("compute/jobs/")) > before, "a job to be taken in"
            )
            let_pass(random.uniform(0.0, 1.0))
            os.kill(gateway.process.pid, signal.SIGKILL)
            for each in work:
                each.result()
    taken = {record.agreement_id for record in JobBook(facility.store).running()}
    assert len({run["config"]["job_id"] for run in facility.dagster.runs}) == len(facility.dagster.runs)
    with run_gateway(facility.folder, facility.environ) as gateway:
        again = {order["agreementId"]: post(gateway, order) for order in sent}
    # What was taken in is not taken in again, whether or not its client was told.
    assert all(again[agreement] == 400 for agreement in taken)
    assert taken


@pytest.mark.alone
def test_no_secret_is_in_the_log_of_a_gateway_that_ends_in_order(facility: Facility) -> None:
    owner = Wallet()
    token, _ = TokenBook(facility.store).new("maria", Scope.ADMIN)
    with run_gateway(facility.folder, facility.environ) as gateway:
        client = httpx.Client(base_url=gateway.url, timeout=60, trust_env=False)
        order = make_order(owner)
        asked = owner.signed(owner.address)
        client.post(COMPUTE, json=order)
        client.post(COMPUTE, json=order)
        client.get(COMPUTE, params=asked)
        client.get(COMPUTE, params=asked | {"nonce": "x"})
        client.get("/api/v1/operator/info", headers={"Authorization": f"Bearer {token}"})
        client.get("/api/v1/operator/info", headers={"Authorization": f"Bearer {token[:-1]}"})
        client.get("/%0a2026 forged")
        facility.dagster.refuses = "odd"
        client.post(COMPUTE, json=make_order(owner))
        client.close()
        gateway.process.send_signal(signal.SIGTERM)
        assert gateway.process.wait(60) == -signal.SIGTERM
        log = gateway.log.read_text()
    secrets = [token, order["providerSignature"], asked["providerSignature"], "the mean spectrum"]
    assert [secret for secret in secrets if secret in log or secret[2:40] in log] == []
    assert len(re.findall(r"'/api/v1/operator/compute' \d{3} \d+ ms", log)) == 5
    assert not re.search(r"^2026 forged", log, re.MULTILINE)
    assert "Traceback" not in log


@pytest.mark.alone
def test_ctrl_c_ends_a_gateway_in_order(facility: Facility) -> None:
    with run_gateway(facility.folder, facility.environ) as gateway:
        assert httpx.get(f"{gateway.url}/health", trust_env=False).status_code == 200
        gateway.process.send_signal(signal.SIGINT)
        assert gateway.process.wait(60) == 0
        assert "Traceback" not in gateway.log.read_text()
