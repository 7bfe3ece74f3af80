"""Compute jobs on a deployed facility, for clients that know Ocean's routes and nothing else."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping
from typing import Any

import dagster as dg
from compute_house import OceanClient
from compute_kit import ENVIRONMENT, input_of, workflow_payload
from dagster_kit import REPOSITORY
from gateway_kit import Wallet
from k8s_facility_kit import ClusterFacility
from k8s_kit import OPERATORS

from runstart.compute import JobBook, JobRecord

POD_PIDS = 1024
MAX_S = 120
LIMITS = ("100m", "500M", "20M")  # of an algorithm that sleeps
SETTINGS = {
    "SIGNATURE_REQUIRED": "0",  # owners may order for themselves
    "RUNSTART_LAUNCHER_POD_PIDS": str(POD_PIDS),
}
FILES = {
    "compute.toml": f"""
[environments.{ENVIRONMENT}]
cpus = 0.25
ram_gb = 0.5
disk_gb = 0.02
processes = {POD_PIDS}
max_jobs = 2
max_job_s = {MAX_S}
images = ["runstart/"]
input_prefixes = ["live/"]
"""
}
_CONTAINER = {"image": "runstart/code-location", "tag": "0.1.0", "entrypoint": "python $ALGO"}
# What an algorithm finds of its own confinement.
_LOOK = """
def refusal(path):
    try:
        open(path, "w").close()
    except OSError as error:
        return error.strerror
    os.remove(path)
    return "written"

status = dict(line.split(":\\t", 1) for line in open("/proc/self/status").read().splitlines() if ":\\t" in line)
places = ["/x", "/opt/runstart/x", inputs + "/x", os.path.dirname(os.environ["ALGO"]) + "/x", outputs + "/x", "/tmp/x"]
look = {
    "rights": [status[name] for name in ("CapEff", "CapBnd", "NoNewPrivs", "Seccomp")],
    "user": [os.getuid(), os.getgid()],
    "written": {place: refusal(place) for place in places},
    "secrets": os.path.exists("/var/run/secrets"),
    "volume": sorted(os.listdir("/data")),
    "others": [place for place in ("/output", "/archive", "/etc/runstart") if os.path.exists(place)],
    "variables": sorted(os.environ),
    "names": open("/etc/resolv.conf").read().split()[:2],
}
with open(outputs + "/look.json", "w") as file:
    json.dump(look, file)
"""
_SLEEPS = """
import time
print("up", flush=True)
time.sleep(600)
"""


class ClusterCompute:
    """Orders and follows jobs through the gateway's service.

    Parameters
    ----------
    facility : ClusterFacility
        Deployed with the settings and files of this module.
    """

    def __init__(self, facility: ClusterFacility) -> None:
        self.facility = facility
        self.book = JobBook(facility.store)
        self.client = OceanClient(self, Wallet())

    @property
    def url(self) -> str:
        """Where the gateway's service is: this machine reaches services."""
        address = self.facility.deployment.kubectl("get", "service", "gateway", "-o", "jsonpath={.spec.clusterIP}")
        return f"http://{address}"

    def order_mean_spectrum(self, key: str) -> str:
        """Order the mean spectrum of a run in the store, and an account of what the algorithm may do."""
        code = (REPOSITORY / "tests/mean_spectrum.py").read_text() + _LOOK
        return self.client.start(_workflow(code, input=[input_of(f"store:{key}")]))

    def order_sleep(self) -> str:
        """Order a job that does not end by itself."""
        asked = {"Instances": 1, "namespace": ENVIRONMENT, "cpuNumber": 0.1}
        return self.client.start(_workflow(_SLEEPS, compute=asked))

    def end_of(self, job_id: str) -> dict[str, Any]:
        """Return a job at its end, when nothing of it is left in the cluster and on the volume."""
        job: dict[str, Any] = self.facility.wait_for(
            lambda: next((each for each in self.client.follow(jobId=job_id) if each["dateFinished"]), None),
            "the end of the compute job",
            180,
        )
        self.facility.wait_for(lambda: not self.left(job_id), "everything of the job to be gone", 60)
        return job

    def record(self, job_id: str) -> JobRecord:
        """Return a job's record as it is now."""
        found = self.book.get(job_id)
        assert found is not None
        return found

    def run_of(self, job_id: str) -> dg.DagsterRun:
        """Return the run that has a job, as it is now."""
        run = self.facility.instance.get_run_by_id(self.record(job_id).run_id)
        assert run is not None
        return run

    def pod(self, job_id: str) -> dict[str, Any]:
        """Return the pod of a job's algorithm once it runs."""

        def running() -> dict[str, Any] | None:
            found = [pod for pod in self._objects("pods", job_id) if pod["status"].get("phase") == "Running"]
            return found[0] if found else None

        pod: dict[str, Any] = self.facility.wait_for(running, "the algorithm's pod", 180)
        return pod

    def left(self, job_id: str) -> list[str]:
        """Return what of a job is still in the cluster and on the volume."""
        objects = [each["metadata"]["name"] for each in self._objects("pods,jobs", job_id)]
        folders = (self.facility.deployment.output / "compute-jobs").glob(f"*{job_id}*")
        return [*objects, *map(str, folders), *({job_id} & set(self.book.open_ids()))]

    def _objects(self, kinds: str, job_id: str) -> list[dict[str, Any]]:
        selector = f"runstart.compute_job={job_id}"
        told = self.facility.cluster.kubectl("-n", OPERATORS, "get", kinds, "-l", selector, "-o", "json")
        return list(json.loads(told)["items"])


def _workflow(code: str, **changes: Any) -> Mapping[str, Any]:
    algorithm = {"rawcode": textwrap.dedent(code), "container": _CONTAINER}
    return workflow_payload(algorithm=algorithm, **changes)
