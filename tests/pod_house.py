"""Dagster on a real cluster for tests of pods: its daemon in a pod, its storage in a folder that all pods see.

Everything runs this machine's programs and this checkout, in a near-empty image; rights are those of service accounts.
"""

from __future__ import annotations

import json
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import yaml
from waiting import wait_until

from resources.run_launcher import RunLauncher
from runstart.facility import host_mounts

if TYPE_CHECKING:
    from runstart.facility.cluster import RunningCluster

REPOSITORY = Path(__file__).resolve().parents[1]
MAY_START_JOBS = [
    {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["list", "create", "delete"]},
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "delete"]},
    {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
    {"apiGroups": [""], "resources": ["events"], "verbs": ["list"]},
]
ACCOUNTS = {"daemon": MAY_START_JOBS, "runs": MAY_START_JOBS, "live-runs": [], "steps": []}
PRIORITIES = REPOSITORY / "k8s/base/priority-classes.yaml"  # of the whole cluster, and they cannot be changed
TOLERATIONS = [{"operator": "Exists"}]  # the daemon outlives the loss of the only node
FINISHED = (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)


class PodHouse:
    """A Dagster deployment in a namespace of its own; a context manager.

    Parameters
    ----------
    cluster : RunningCluster
        Where.
    folder : Path
        Gets DAGSTER_HOME; every pod sees it.
    module : str
        The code location.
    environ : dict of str to str
        Of all pods.
    """

    def __init__(self, cluster: RunningCluster, folder: Path, module: str, environ: dict[str, str]) -> None:
        self.cluster = cluster
        self.module = module
        self.namespace = f"pods-{secrets.token_hex(3)}"
        self.folder = folder
        self.home = folder / "dagster"
        self._log = folder / "daemon.log"
        self.environ = {
            "DAGSTER_HOME": str(self.home),
            "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
            "PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'tests'}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONUNBUFFERED": "1",
            "HOME": "/tmp",
            **environ,
        }

    def __enter__(self) -> PodHouse:
        self.image = self.cluster.import_host_image()
        (self.home / "requests").mkdir(parents=True)
        (self.home / "dagster.yaml").write_text(yaml.safe_dump(self._settings()))
        self.instance = dg.DagsterInstance.from_config(str(self.home))
        self.cluster.kubectl("create", "namespace", self.namespace)
        self._apply([*self._rights(), *yaml.safe_load_all(PRIORITIES.read_text()), self._daemon()])
        return self

    def __exit__(self, *exception: object) -> None:
        self.instance.dispose()
        self.cluster.kubectl("delete", "namespace", self.namespace, "--wait=false")
        self.cluster.kubectl("delete", "pods", "--all", "-n", self.namespace, "--force", "--grace-period=0")

    # Runs

    def request(self, name: str, job: str, pod: dict[str, Any] | None = None, **tags: str) -> None:
        """Have a run started, whose pod is not as others."""
        if pod is not None:
            tags["dagster-k8s/config"] = json.dumps(pod)
        written = self.home / "requests" / f"{name}.part"
        written.write_text(json.dumps({"job": job, "tags": tags}))
        written.rename(written.with_suffix(".json"))

    def runs(self, name: str) -> list[dg.DagsterRun]:
        """Return the runs of a request, oldest first."""
        found = self.instance.get_runs(dg.RunsFilter(tags={"request": name}))
        return sorted(found, key=lambda run: int(run.tags.get("dagster/retry_number", "0")))

    def wait_for_start(self, name: str, pods: int = 1) -> dg.DagsterRun:
        """Wait until a run has so many pods that run, and has started; return it."""

        def started() -> dg.DagsterRun | None:
            runs = self.runs(name)
            if not runs or runs[0].status is not dg.DagsterRunStatus.STARTED:
                return None
            steps = [e for e in self.events(runs[0]) if e.event_type_value == "STEP_START"]
            return runs[0] if len(steps) >= pods else None

        return self._await(started, f"the start of {name}", name)

    def wait_for_end(self, name: str, runs: int = 1, timeout: float = 180.0) -> list[dg.DagsterRun]:
        """Wait until so many runs of a request have ended; return them, oldest first."""

        def ended() -> list[dg.DagsterRun] | None:
            found = self.runs(name)
            return found if len(found) >= runs and all(run.status in FINISHED for run in found) else None

        return self._await(ended, f"the end of {runs} runs of {name}", name, timeout)

    def wait_for_failure(self, name: str) -> None:
        """Wait until the first run of a request has failed."""
        self._await(
            lambda: self.runs(name)[0].status is dg.DagsterRunStatus.FAILURE, f"the failure of {name}", name
        )

    def wait_for_pod(self, name: str) -> dg.DagsterRun:
        """Wait until a run has a pod, be it one that cannot start; return it."""

        def found() -> dg.DagsterRun | None:
            runs = self.runs(name)
            return runs[0] if runs and self.pods_of(runs[0]) else None

        return self._await(found, f"the pod of {name}", name)

    def terminate(self, run: dg.DagsterRun) -> None:
        """Stop a run as the webserver does."""
        settings = self._settings()["run_launcher"]["config"]
        launcher = RunLauncher(
            load_incluster_config=False, kubeconfig_file=str(self.cluster.kubeconfig), **settings
        )
        launcher.register_instance(self.instance)
        assert launcher.terminate(run.run_id)

    def events(self, run: dg.DagsterRun) -> list[dg.DagsterEvent]:
        """Return the events of a run."""
        entries = self.instance.all_logs(run.run_id)
        return [entry.dagster_event for entry in entries if entry.dagster_event is not None]

    def failure(self, run: dg.DagsterRun) -> str:
        """Return what the event of a run's failure says, which comes a moment after the run has failed."""

        def told() -> list[dg.DagsterEvent]:
            return [event for event in self.events(run) if event.event_type_value == "PIPELINE_FAILURE"]

        (event,) = wait_until(told, f"the event of the failure of {run.run_id}")
        return event.message or ""

    def said_of_steps(self, run: dg.DagsterRun, kind: str) -> dict[str, str]:
        """Return the errors of a run's steps, by step, of events of a kind such as STEP_FAILURE."""
        said = {}
        for event in self.events(run):
            if event.event_type_value == kind:
                error = getattr(event.event_specific_data, "error", None)
                said[str(event.step_key)] = error.message if error is not None else event.message or ""
        return said

    def story(self, name: str) -> str:
        """Return what happened to the runs of a request, for a test's message."""
        return self.story_of(self.runs(name))

    def story_of(self, runs: Sequence[dg.DagsterRun]) -> str:
        """Return what happened to runs, for a test's message."""
        lines = []
        for run in runs:
            lines.append(f"{run.run_id} {run.status} {dict(run.tags)}")
            lines += [f"  {event.event_type_value}: {(event.message or '')[:600]}" for event in self.events(run)]
        log = [line for line in self._log.read_text().splitlines() if "INFO" not in line]
        return "\n".join([*lines, self.kubectl("get", "pods,jobs", "-o", "wide"), *log[-60:]])

    # The cluster

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl in the namespace."""
        return self.cluster.kubectl("-n", self.namespace, *arguments, stdin=stdin)

    def pods_of(self, run: dg.DagsterRun, component: str = "run_worker") -> list[str]:
        """Return the names of a run's pods."""
        selector = f"dagster/run-id={run.run_id},app.kubernetes.io/component={component}"
        return self.kubectl("get", "pods", "-l", selector, "-o", "jsonpath={.items[*].metadata.name}").split()

    def pod_of_step(self, run: dg.DagsterRun, step: str) -> str:
        """Return the name of the pod of a step."""
        selector = f"dagster/run-id={run.run_id},dagster/op={step}"
        (name,) = self.kubectl("get", "pods", "-l", selector, "-o", "jsonpath={.items[*].metadata.name}").split()
        return name

    def evict(self, pod: str) -> None:
        """Evict a pod as a drain of its node does."""
        eviction = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": pod, "namespace": self.namespace},
        }
        path = f"/api/v1/namespaces/{self.namespace}/pods/{pod}/eviction"
        self.cluster.kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(eviction))

    def left(self, run: dg.DagsterRun) -> list[str]:
        """Return the pods, jobs and config maps of a run that are still there."""
        selector = f"dagster/run-id={run.run_id}"
        return self.kubectl("get", "pods,jobs,configmaps", "-l", selector, "-o", "name").split()

    # How it is made

    def _await(self, found: Any, what: str, name: str, timeout: float = 120.0) -> Any:
        try:
            return wait_until(found, what, timeout, 0.5)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.story(name)}") from error

    def _apply(self, things: Sequence[dict[str, Any]]) -> None:
        listed = {"apiVersion": "v1", "kind": "List", "items": list(things)}
        self.kubectl("apply", "-f", "-", stdin=json.dumps(listed))

    def _settings(self) -> dict[str, Any]:
        shipped: dict[str, Any] = yaml.safe_load((REPOSITORY / "dagster.yaml").read_text())
        volumes, mounts = self._volumes()
        launcher = {
            "job_namespace": self.namespace,
            "service_account_name": "runs",
            "dagster_home": str(self.home),
            "instance_config_map": "none",
            "job_image": self.image,
            "image_pull_policy": "Never",
            "env_vars": [f"{name}={value}" for name, value in self.environ.items()],
            "volumes": volumes,
            "volume_mounts": mounts,
            "run_k8s_config": {"container_config": {"working_dir": str(REPOSITORY)}},
        }
        monitoring = shipped["run_monitoring"] | {"max_resume_run_attempts": 1}
        named = {"module": "resources.run_launcher", "class": "RunLauncher", "config": launcher}
        return shipped | {"run_launcher": named, "run_monitoring": monitoring}

    def _volumes(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        mounts = [(str(mount.source), mount.target, True) for mount in host_mounts()]
        mounts.append((str(self.folder), str(self.folder), False))
        volumes = [{"name": f"host-{i}", "hostPath": {"path": source}} for i, (source, _, _) in enumerate(mounts)]
        mounted = [
            {"name": f"host-{i}", "mountPath": target, "readOnly": is_read_only}
            for i, (_, target, is_read_only) in enumerate(mounts)
        ]
        return volumes, mounted

    def _rights(self) -> list[dict[str, Any]]:
        api = "rbac.authorization.k8s.io"
        things: list[dict[str, Any]] = []
        for name, rules in ACCOUNTS.items():
            metadata = {"name": name, "namespace": self.namespace}
            things.append({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})
            if rules:
                things.append({"apiVersion": f"{api}/v1", "kind": "Role", "metadata": metadata, "rules": rules})
                subject = {"kind": "ServiceAccount", "name": name, "namespace": self.namespace}
                role = {"apiGroup": api, "kind": "Role", "name": name}
                binding = {"apiVersion": f"{api}/v1", "kind": "RoleBinding", "metadata": metadata}
                things.append(binding | {"roleRef": role, "subjects": [subject]})
        return things

    def _daemon(self) -> dict[str, Any]:
        volumes, mounts = self._volumes()
        container = {
            "name": "daemon",
            "image": self.image,
            "imagePullPolicy": "Never",
            "command": ["/usr/bin/sh", "-c", f"exec dagster-daemon run -m {self.module} > {self._log} 2>&1"],
            "workingDir": str(REPOSITORY),
            "env": [{"name": name, "value": value} for name, value in self.environ.items()],
            "volumeMounts": mounts,
        }
        spec = {
            "serviceAccountName": "daemon",
            "containers": [container],
            "volumes": volumes,
            "tolerations": TOLERATIONS,
        }
        return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "daemon"}, "spec": spec}
