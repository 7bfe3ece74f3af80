"""How soon a compute job computes: its POST to the first line of the algorithm.

Gateway and Dagster's stock parts (webserver, daemon, code server, and a process for each run) run as processes of their
own, with this repository's `dagster.yaml`, SQLite and a store in a folder. Each job is ordered while nothing else runs, by
Ocean's routes, and its algorithm prints the time at which it begins; algorithms are plain processes, confined as
strangers' are. There is no peer that could be run here: `peer` is the 5 s in which Ocean's engine looks for new jobs
and after which it looks after each of their phases, before any of its pods starts.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import time
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx

from bench._dagster import percentile, start_children, start_dagster, wait_for
from bench._measure import Row, Scale
from bench._ocean_client import OceanOwner, workflow
from runstart.compute import JobBook, Status
from runstart.demo import family, make_place
from runstart.demo.children import GatewayPage
from runstart.storage import FileStore

ENGINES_POLL_S = 5.0
_OCEAN = "/api/v1/operator"
_CODE = "import time\nprint(time.time(), flush=True)\n"
_ENVIRONMENT = "[environments.bench]\nmax_job_s = 60\nraw_code_without_image = true\n"
_PACKAGES = ("dagster", "dagster-webserver", "fastapi", "uvicorn")
_STAGES = {"run's first op": Status.STARTED, "algorithm's launch": Status.RUNNING_ALGORITHM}


def run(scale: Scale) -> Iterator[Row]:
    """Yield the median time from the POST to the algorithm's first line."""
    jobs = scale.pick(20, 1)
    load_before = os.getloadavg()[0]
    with _running_facility() as (client, book):
        found = [_start_once(client, book) for _ in range(jobs)]
    seconds = [times["first line"] for times in found]
    yield Row(
        name="compute_start.post_to_first_line",
        ours=statistics.median(seconds),
        peer=ENGINES_POLL_S,
        peer_name="interval of Ocean's engine",
        unit="s",
        ratio=ENGINES_POLL_S / statistics.median(seconds),
        packages=_PACKAGES,
        parameters={
            "jobs": jobs,
            "load_average_before": round(load_before, 1),
            "p95_s": round(percentile(seconds, 95), 2),
            "max_s": round(max(seconds), 2),
            "median_s_from_post_to": {
                name: round(statistics.median(times[name] for times in found), 2) for name in found[0]
            },
        },
    )


@contextlib.contextmanager
def _running_facility() -> Iterator[tuple[httpx.Client, JobBook]]:
    family.adopt_orphans()
    with make_place() as place:
        no_instruments, declared = place.data_dir / "instruments.toml", place.data_dir / "compute.toml"
        no_instruments.write_text('[kafka.default]\nbootstrap_servers = "127.0.0.1:9"\n')
        declared.write_text(_ENVIRONMENT)
        environment = place.environment("127.0.0.1:9") | {
            "RUNSTART_COMPUTE": str(declared),
            "RUNSTART_INSTRUMENTS": str(no_instruments),
            "SIGNATURE_REQUIRED": "0",
        }
        try:
            gateway = GatewayPage(place.data_dir / "gateway", environment, start_dagster(place, environment))
            start_children(gateway)
            with httpx.Client(base_url=gateway.url, timeout=60, trust_env=False) as client:
                yield client, JobBook(FileStore(place.data_dir / "store"))
        finally:
            family.end(family.descendants())


def _start_once(client: httpx.Client, book: JobBook) -> dict[str, float]:
    """Return the seconds from the POST of one job to each of its stages."""
    owner = OceanOwner()
    order: dict[str, Any] = {"agreementId": f"0x{uuid4().hex}", "environment": "bench", "workflow": workflow(_CODE)}
    began = time.time()
    answer = client.post(f"{_OCEAN}/compute", json=order | owner.sign()).raise_for_status()
    answered = time.time()
    (job,) = answer.json()

    def end() -> Any:
        (now,) = client.get(f"{_OCEAN}/compute", params=owner.sign(job["jobId"])).raise_for_status().json()
        return now["dateFinished"] and now

    wait_for(end, "the job's end")
    ended = end()
    assert ended["status"] == Status.FINISHED, ended
    index = next(result["index"] for result in ended["results"] if result["type"] == "algorithmLog")
    asked = owner.sign(job["jobId"]) | {"index": str(index)}
    printed = client.get(f"{_OCEAN}/getResult", params=asked).raise_for_status().text
    record = book.get(job["jobId"])
    assert record is not None
    reached = {change.status: change.at for change in record.history}
    return {
        "answer": answered - began,
        **{stage: reached[status] - began for stage, status in _STAGES.items()},
        "first line": float(printed.split()[0]) - began,
    }
