"""A facility on a real cluster: Runstart deployed there, and Kafka, PostgreSQL and an object store on this machine.

Nothing of Dagster runs outside of the cluster: its storage and the object store are read from here, and runs begin because
a RunStart is published.
"""

from __future__ import annotations

import json
import os
import signal
import tomllib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import psutil
import requests
import yaml
from facility_view import FacilityView
from k8s_kit import Deployment, Places, deploy
from scripted_stream import ScriptedRun, now_ms, publish
from waiting import wait_until

from runstart.facility import ApacheKafka, PostgresServer, S3Server, install_kafka
from runstart.facility.images import CODE_LOCATION_IMAGE, build_code_location
from runstart.instrument_resources import make_object
from runstart.instruments import Instrument
from runstart.storage import open_store

if TYPE_CHECKING:
    from runstart.facility.cluster import RunningCluster

BUCKET = "runstart"
LAUNCH = """
mutation Launch($parameters: ExecutionParams!) {
  launchRun(executionParams: $parameters) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on Error { message }
    ... on RunConfigValidationInvalid { errors { message } }
  }
}
"""


class ClusterFacility(FacilityView):
    """Servers, a deployment and its instruments; a context manager.

    Parameters
    ----------
    cluster : RunningCluster
        Where Runstart is deployed.
    folder : Path
        Of the servers, of the deployment and of what is read from here.
    tables : str
        Tables of instruments.toml, of which resources are made.
    settings : mapping of str to str
        More environment of all pods.
    files : mapping of str to str, optional
        Texts in place of the overlay's sites.toml, microscopes.toml, alerts.toml and compute.toml.
    has_gateway : bool, optional
        Whether a gateway runs too.
    """

    def __init__(
        self,
        cluster: RunningCluster,
        folder: Path,
        tables: str,
        settings: Mapping[str, str],
        files: Mapping[str, str] | None = None,
        *,
        has_gateway: bool = False,
    ) -> None:
        self.cluster = cluster
        self.folder = folder
        self.settings, self.files, self.has_gateway = settings, files or {}, has_gateway
        declared: Mapping[str, Any] = tomllib.loads(tables)["instruments"]
        self.instruments = {name: Instrument(name=name, **table) for name, table in declared.items()}
        self.resources = [make_object(name, table) for name, table in declared.items()]
        self.kafka = ApacheKafka(folder / "kafka", install_kafka(), host=cluster.host_address)
        self.s3 = S3Server(folder / "s3", host=cluster.host_address)
        self.postgresql = PostgresServer(folder / "postgresql", host=cluster.host_address)
        self._closing = ExitStack()

    def __enter__(self) -> ClusterFacility:
        with ExitStack() as closing:
            with ThreadPoolExecutor(1) as beside:
                imported = beside.submit(self.cluster.import_image, build_code_location())
                for server in (self.kafka, self.s3, self.postgresql):
                    closing.enter_context(server)
                imported.result()
            self.s3.create_bucket(BUCKET)
            url = f"s3://{BUCKET}/facility"
            client = self.s3.client()
            closing.callback(client.close)
            self.store = open_store(url, client)
            self.deployment = self._deploy(url)
            closing.callback(self.deployment.remove)
            self.deployment.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(self.resources))
            self._wait_until_ready()
            self.instance = self._open_instance()
            closing.callback(self.instance.dispose)
            self._closing = closing.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        self._closing.close()

    @property
    def bootstrap_servers(self) -> str:
        return self.kafka.bootstrap_servers

    def log_tail(self) -> str:
        return self.deployment.story()

    # Instruments

    def status(self, instrument: str) -> dict[str, Any]:
        """Return the status of an instrument's resource."""
        found = json.loads(self.deployment.kubectl("get", "instrument", instrument.lower(), "-o", "json"))
        return dict(found.get("status", {}))

    def is_ready(self, instrument: str) -> bool:
        """Return whether an instrument's resource is in force, and its sensor is on."""
        status = self.status(instrument)
        conditions = {each["type"]: each["status"] for each in status.get("conditions", [])}
        return conditions.get("Ready") == "True" and status.get("sensor") == "On"

    # Runs

    def announce(self, instrument: str, name: str = "1001") -> ScriptedRun:
        """Publish the RunStart of a run that starts now."""
        run = ScriptedRun(self.instruments[instrument], name, now_ms())
        publish(self.bootstrap_servers, run.instrument.topics.run_info, [(run.start_payload(), 0)])
        return run

    def publish_stop(self, run: ScriptedRun, stop_ms: int) -> None:
        """Publish a RunStop."""
        publish(self.bootstrap_servers, run.instrument.topics.run_info, [(run.stop_payload(stop_ms), 0)])

    def said(self, run: dg.DagsterRun) -> list[str]:
        """Return what the event log of a run has."""
        entries = self.instance.all_logs(run.run_id)
        return [
            (entry.dagster_event and entry.dagster_event.message) or entry.user_message or "" for entry in entries
        ]

    def wait_for_start(self, instrument: str, number: int = 1) -> dg.DagsterRun:
        """Wait until the newest of so many runs of an instrument has begun its first op; return it."""

        def begun() -> dg.DagsterRun | None:
            runs = self.runs(instrument)
            if len(runs) < number:
                return None
            return runs[0] if self.began(runs[0]) else None

        found: dg.DagsterRun = self.wait_for(begun, f"the start of run {number} of {instrument}", 180)
        return found

    def failure(self, run: dg.DagsterRun) -> str:
        """Return what the event of a run's failure says."""
        entries = self.instance.all_logs(run.run_id, of_type=dg.DagsterEventType.RUN_FAILURE)
        return "\n".join(entry.dagster_event.message or "" for entry in entries if entry.dagster_event)

    def launch(self, job: str, config: Mapping[str, Any], component: str = "webserver") -> dict[str, Any]:
        """Have a webserver launch a job of one op; return what it answers."""
        parameters = {
            "selector": {
                "repositoryLocationName": "definitions",
                "repositoryName": "__repository__",
                "jobName": job,
            },
            "runConfigData": json.dumps(config),
        }
        body = {"query": LAUNCH, "variables": {"parameters": parameters}}
        answer = requests.post(f"{self.deployment.url(component)}/graphql", json=body, timeout=30)
        launched: dict[str, Any] = answer.json()["data"]["launchRun"]
        return launched

    def began(self, run: dg.DagsterRun) -> float | None:
        """Return when the first op of a run began, in Unix seconds."""
        steps = self.instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_START)
        return min((entry.timestamp for entry in steps), default=None)

    def wait_for(self, found: Any, what: str, timeout: float) -> Any:
        """Wait as `wait_until`, and say what became of the pods if it is in vain."""
        try:
            return wait_until(found, what, timeout, 0.25)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log_tail()}") from error

    # Pods of runs

    def pods(self, run_id: str) -> list[dict[str, Any]]:
        """Return the pods of a run and of its steps."""
        found = json.loads(self.deployment.kubectl("get", "pods", "-l", f"dagster/run-id={run_id}", "-o", "json"))
        return list(found["items"])

    def pod(self, run: dg.DagsterRun) -> dict[str, Any]:
        """Return the pod of a run without steps that have pods."""
        (pod,) = self.pods(run.run_id)
        return pod

    def delete_pod(self, run: dg.DagsterRun) -> None:
        """Delete the pod of a run, which gets no time to end."""
        name = self.pod(run)["metadata"]["name"]
        self.deployment.kubectl("delete", "pod", name, "--grace-period=0", "--force")

    def kill_process(self, run: dg.DagsterRun) -> None:
        """Kill the process of a run with SIGKILL, from outside of its pod."""
        (process,) = (
            each
            for each in psutil.process_iter(["cmdline"])
            if run.run_id in " ".join(each.info["cmdline"] or ()) and each.info["cmdline"][0].endswith("python")
        )
        os.kill(process.pid, signal.SIGKILL)

    def left(self) -> list[str]:
        """Return the pods, jobs and config maps of all runs that are still there."""
        kinds = "pods,jobs,configmaps"
        return self.deployment.kubectl("get", kinds, "-l", "dagster/run-id", "-o", "name").split()

    def tag_image(self, tag: str) -> str:
        """Give the image of the code location another tag; return its name with that."""
        name = CODE_LOCATION_IMAGE.rsplit(":", 1)[0]
        tagged = ("images", "tag", "--force", CODE_LOCATION_IMAGE, f"{name}:{tag}")
        self.cluster.run_ctr("-n", "k8s.io", *tagged).check_returncode()
        return f"{name}:{tag}"

    # How it is made

    def _deploy(self, url: str) -> Deployment:
        server = self.postgresql
        postgresql = {
            "DAGSTER_PG_HOST": server.host,
            "DAGSTER_PG_PORT": str(server.port),
            "DAGSTER_PG_DB": server.database,
            "DAGSTER_PG_USERNAME": server.username,
            "DAGSTER_PG_PASSWORD": server.password,
        }
        folder = self.folder / "deployment"
        folder.mkdir()
        places = Places(
            self.bootstrap_servers,
            url,
            self.s3.environment,
            postgresql,
            self.settings,
            self.files,
            self.has_gateway,
        )
        return deploy(self.cluster, folder, places)

    def _wait_until_ready(self) -> None:
        for name in self.instruments:
            self.wait_for(lambda name=name: self.is_ready(name), f"{name} to be ready", 300)
        self.deployment.wait("daemon")

    def _open_instance(self) -> dg.DagsterInstance:
        """Return an instance on the deployment's storage, which can read and cannot launch."""
        home = self.folder / "dagster"
        home.mkdir()
        server = self.postgresql
        place = {"scheme": "postgresql+psycopg2", "hostname": server.host, "port": server.port}
        user = {"db_name": server.database, "username": server.username, "password": server.password}
        settings = {"telemetry": {"enabled": False}, "storage": {"postgres": {"postgres_db": place | user}}}
        (home / "dagster.yaml").write_text(yaml.safe_dump(settings))
        return dg.DagsterInstance.from_config(str(home))
