"""A data owner's facility as strangers meet it: daemon, Dagster's webserver and gateway, each a process, on one store.

Jobs are ordered and followed by clients that use Ocean's routes and nothing else; `kill` and `kill_gateway` are SIGKILL.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

import dagster as dg
import httpx
from compute_kit import ENVIRONMENT, Owners, environment
from dagster_kit import REPOSITORY, DagsterFacility
from gateway_kit import RunningGateway, Wallet, run_gateway
from waiting import wait_until

from runstart.compute import FINAL, JobRecord, Status
from runstart.facility.processes import free_port
from runstart.launchers import open_launcher

CODE_LOCATION = "compute_definitions"
DECLARED = """
[environments.beamline]
max_job_s = 600
max_jobs = 4
raw_code_without_image = {without_image}
images = ["python", "localhost/"]
input_prefixes = ["results/"]
"""
_OCEAN = "/api/v1/operator"


class ServedAt(Protocol):
    """Has a gateway."""

    @property
    def url(self) -> str:
        """Where it is now."""


class ComputeHouse(DagsterFacility):
    """A facility whose only work are compute jobs; a context manager.

    Parameters
    ----------
    folder : Path
        Gets everything; the store is below it.
    environ : mapping of str to str, optional
        More environment, such as that which names the launcher.
    """

    def __init__(self, folder: Path, environ: Mapping[str, str] | None = None) -> None:
        environ = dict(environ or {})
        self.owners = Owners(folder, environment(), open_launcher(environ))
        declared = DECLARED.format(without_image=str(not self.owners.launcher.runs_images).lower())
        (folder / "compute.toml").write_text(declared)
        path = [REPOSITORY, REPOSITORY / "tests", REPOSITORY / "tests/compute_e2e"]
        self._webserver_port = free_port()
        environ |= {
            "RUNSTART_COMPUTE": str(folder / "compute.toml"),
            "RUNSTART_COMPUTE_FOLDER": str(self.owners.root),
            "RUNSTART_DAGSTER_URL": f"http://127.0.0.1:{self._webserver_port}",
            "RUNSTART_DAGSTER_LOCATION": CODE_LOCATION,
            "RUNSTART_DAGSTER_TIMEOUT_S": "60",
            "SIGNATURE_REQUIRED": "0",  # owners may order for themselves
            "PYTHONPATH": os.pathsep.join(map(str, path)),
        }
        store_url = f"file:{folder / 'store'}"
        settings = {"start_timeout_seconds: 180": "start_timeout_seconds: 60"}
        super().__init__(folder / "facility", "", "127.0.0.1:9", store_url, environ, CODE_LOCATION, settings)
        self._open = contextlib.ExitStack()
        self._gateway_open = contextlib.ExitStack()
        self._gateway: RunningGateway | None = None

    def __enter__(self) -> ComputeHouse:
        return self

    def __exit__(self, *exception: object) -> None:
        with self._open, self._gateway_open:
            super().__exit__(*exception)

    def serve(self) -> None:
        """Start daemon, webserver and gateway, and wait until jobs are taken."""
        self._open.enter_context(self._serving_dagster())
        self.start()
        self.start_gateway()
        wait_until(self._knows_dagster, "Dagster's webserver", 120, 0.2)

    def start_gateway(self) -> None:
        """Start a gateway, again if the last one was killed."""
        self._gateway_open.close()
        self._gateway = self._gateway_open.enter_context(run_gateway(self.folder, self.environ))

    def kill_gateway(self) -> None:
        """Kill the gateway with SIGKILL."""
        assert self._gateway is not None
        self._gateway.process.kill()
        self._gateway.process.wait()

    @property
    def url(self) -> str:
        """Where the gateway is now."""
        assert self._gateway is not None
        return self._gateway.url

    def client(self) -> OceanClient:
        """Return a client of somebody who has not been here before."""
        return OceanClient(self, Wallet())

    def read(self, job_id: str) -> JobRecord:
        """Return a job's record as it is now."""
        found = self.owners.book.get(job_id)
        assert found is not None
        return found

    def wait_for(self, job_id: str, *statuses: Status, timeout: float = 100.0) -> JobRecord:
        """Wait until a job is in one of these states."""
        try:
            wait_until(lambda: self.read(job_id).status in statuses, f"{statuses}", timeout, 0.1)
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.read(job_id)}\n{self.daemon_log[-3000:]}") from error
        return self.read(job_id)

    def end_of(self, job_id: str, timeout: float = 200.0) -> JobRecord:
        """Wait until a job has ended, and nothing of it is left on this machine or among the unfinished ones."""
        self.wait_for(job_id, *FINAL, timeout=timeout)

        def gone() -> bool:
            left = self.owners.left_on_machine(self.read(job_id))
            return not left and job_id not in self.owners.book.open_ids()

        wait_until(gone, "everything of the job to be gone", 60, 0.2)
        return self.read(job_id)

    def runs_of(self, job_id: str) -> list[dg.DagsterRun]:
        """Return the runs that were launched for a job."""
        return list(self.instance.get_runs(dg.RunsFilter(tags={"runstart/compute_job": job_id})))

    def kill_run(self, job_id: str) -> None:
        """Kill the process that carries a job out with SIGKILL; nothing if it has ended."""
        logs = self.instance.all_logs(self.read(job_id).run_id)
        found = re.search(r"Started process for run \(pid: (\d+)\)", "\n".join(entry.message for entry in logs))
        assert found
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(found[1]), signal.SIGKILL)

    def _knows_dagster(self) -> bool:
        with contextlib.suppress(httpx.TransportError):
            answer = httpx.get(f"http://127.0.0.1:{self._webserver_port}/server_info", timeout=30, trust_env=False)
            return answer.status_code == 200
        return False

    @contextlib.contextmanager
    def _serving_dagster(self) -> Iterator[None]:
        command = [sys.executable, "-m", "dagster_webserver", "-m", CODE_LOCATION]
        with (self.folder / "webserver.log").open("wb") as log:
            process = subprocess.Popen(
                [*command, "-h", "127.0.0.1", "-p", str(self._webserver_port)],
                cwd=REPOSITORY,
                env=os.environ | self.environ,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            yield
        finally:
            os.killpg(process.pid, signal.SIGKILL)  # with its code server
            process.wait()


@dataclass
class OceanClient:
    """A client that knows Ocean's routes and nothing else; its wallet is the owner of its jobs.

    Parameters
    ----------
    house : ServedAt
        Says where the gateway is now.
    wallet : Wallet
        Signs.
    """

    house: ServedAt
    wallet: Wallet
    seen: dict[str, list[int]] = field(default_factory=dict)

    def environments(self) -> dict[str, dict[str, Any]]:
        """Return the environments by name."""
        return {each["id"]: each for each in self._get("/environments", {}).json()}

    def start(self, workflow: dict[str, Any]) -> str:
        """Order a job, again if the gateway breaks off and does not know it, and return its name."""
        agreement_id = f"0x{uuid4().hex}"
        with contextlib.suppress(httpx.TransportError):
            if job_id := self._post(workflow, agreement_id):
                return job_id
        return str(wait_until(lambda: self._order_again(workflow, agreement_id), "a gateway to answer", 200, 0.2))

    def follow(self, **which: str) -> list[dict[str, Any]]:
        """Return the jobs of this owner to which all that is given applies."""
        owner, job_id = self.wallet.address, which.get("jobId", "")
        jobs: list[dict[str, Any]] = self._get("/compute", which | self.wallet.signed(owner, job_id)).json()
        for job in jobs:
            self.seen.setdefault(job["jobId"], []).append(job["status"])
        return jobs

    def stop(self, job_id: str) -> None:
        """Ask for a job's end."""
        asked = self.wallet.signed(self.wallet.address, job_id)
        httpx.put(f"{self.house.url}{_OCEAN}/compute", json=asked, timeout=60, trust_env=False).raise_for_status()

    def wait_for_end(self, job_id: str) -> dict[str, Any]:
        """Follow a job to its end."""
        found: list[dict[str, Any]] = wait_until(
            lambda: [job for job in self.follow(jobId=job_id) if job["dateFinished"]], "the job's end", 200, 0.3
        )
        return found[0]

    def results(self, job: dict[str, Any]) -> dict[str, bytes]:
        """Fetch all results of a job, by name."""
        found = {}
        for result in job["results"]:
            asked = self.wallet.signed(self.wallet.address, job["jobId"]) | {"index": str(result["index"])}
            found[result["filename"]] = self._get("/getResult", asked).content
        return found

    def _get(self, route: str, arguments: Mapping[str, str]) -> httpx.Response:
        answer = httpx.get(f"{self.house.url}{_OCEAN}{route}", params=arguments, timeout=60, trust_env=False)
        assert answer.status_code == 200, answer.text
        return answer

    def _order_again(self, workflow: dict[str, Any], agreement_id: str) -> str:
        with contextlib.suppress(httpx.TransportError):
            known = self.follow(agreementId=agreement_id)
            return str(known[0]["jobId"]) if known else self._post(workflow, agreement_id)
        return ""

    def _post(self, workflow: dict[str, Any], agreement_id: str) -> str:
        """Return the name of the new job, or nothing if it could not be taken just now."""
        order = {"workflow": workflow, "agreementId": agreement_id, "environment": ENVIRONMENT}
        order |= self.wallet.signed(self.wallet.address)
        answer = httpx.post(f"{self.house.url}{_OCEAN}/compute", json=order, timeout=60, trust_env=False)
        if answer.status_code == 503 or "unfinished job" in answer.text:
            return ""
        assert answer.status_code == 200, answer.text
        return str(answer.json()[0]["jobId"])
