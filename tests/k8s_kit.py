"""Runstart deployed on a real cluster, by the manifests that a facility would apply.

The overlay `tests/k8s/overlay` is the one for facilities, with servers of this machine in place of the facility's. What it
cannot know is written into a copy: addresses, folders, and whatever a test changes.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from waiting import wait_until

if TYPE_CHECKING:
    from runstart.facility.cluster import RunningCluster

REPOSITORY = Path(__file__).resolve().parents[1]
OVERLAYS = {
    "laptop-cluster": REPOSITORY / "k8s/overlays/laptop-cluster",
    "facility": REPOSITORY / "k8s/overlays/facility",
    "test": REPOSITORY / "tests/k8s/overlay",
}
NAMESPACE, OPERATORS = "runstart", "runstart-operators"
DEPLOYMENTS = ("instrument-controller", "code-location", "daemon", "webserver", "webserver-read-only", "gateway")
USER = 10001
_OVERLAY = Path("tests/k8s/overlay")


@dataclass(frozen=True)
class Places:
    """Where the servers of a deployment are, as its pods reach them, and their passwords.

    Attributes
    ----------
    kafka : str
        Bootstrap servers.
    object_store : str
        URL of a bucket and prefix.
    aws : mapping of str to str
        The AWS environment with which it is reached.
    postgresql : mapping of str to str
        DAGSTER_PG_HOST, DAGSTER_PG_PORT, DAGSTER_PG_DB, DAGSTER_PG_USERNAME and DAGSTER_PG_PASSWORD.
    settings : mapping of str to str
        Other variables of the config map `settings`.
    files : mapping of str to str
        Texts in place of sites.toml, microscopes.toml, alerts.toml and compute.toml.
    has_gateway : bool
        Whether a gateway runs.
    """

    kafka: str
    object_store: str
    aws: Mapping[str, str]
    postgresql: Mapping[str, str]
    settings: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    has_gateway: bool = False


class Deployment:
    """Runstart on a cluster.

    Parameters
    ----------
    cluster : RunningCluster
        Where.
    folder : Path
        Holds the copy of the manifests, and the folders that pods see at /output and /archive.
    """

    def __init__(self, cluster: RunningCluster, folder: Path) -> None:
        self.cluster = cluster
        self.folder = folder
        self.output, self.archive = folder / "output", folder / "archive"

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl in the namespace of Dagster's parts."""
        return self.cluster.kubectl("-n", NAMESPACE, *arguments, stdin=stdin)

    def apply(self) -> None:
        """Apply the copy of the manifests, as it is now."""
        self.cluster.kubectl("apply", "--server-side", "-k", str(self.folder / _OVERLAY))

    def use_image(self, name: str) -> None:
        """Use an image of this name and tag for the code location from the next `apply` on, and so for new runs."""
        image, tag = name.rsplit(":", 1)
        with self._changing() as told:
            told["images"] = [{"name": "runstart/code-location", "newName": image, "newTag": tag}]

    def use_gateway(self) -> None:
        """Have a gateway from the next `apply` on."""
        with self._changing() as told:
            (gateway,) = (each for each in told["replicas"] if each["name"] == "gateway")
            gateway["count"] = 1

    def wait(self, *deployments: str, timeout_s: float = 240) -> None:
        """Wait until deployments, all by default, serve with the newest pods only."""
        for each in deployments or DEPLOYMENTS:
            try:
                wait_until(lambda each=each: self._is_rolled_out(each), f"{each} to come up", timeout_s, 0.5)
            except AssertionError as error:
                raise AssertionError(f"{error}\n{self.story()}") from error

    def url(self, component: str = "webserver", port: int = 3000) -> str:
        """Return the address of a component's pod: pods are reached from this machine."""
        selector = f"app.kubernetes.io/component={component}"
        pods = json.loads(self.kubectl("get", "pods", "-l", selector, "-o", "json"))["items"]
        (pod,) = (pod for pod in pods if "deletionTimestamp" not in pod["metadata"])
        return f"http://{pod['status']['podIP']}:{port}"

    def story(self) -> str:
        """Return what became of the pods, for a test's message."""
        lines = [self.kubectl("get", "pods,jobs,pvc", "-o", "wide")]
        lines.append(self.kubectl("get", "events", "--field-selector=type=Warning"))
        for pod in self.kubectl("get", "pods", "-o", "name").split():
            lines.append(f"{pod}:\n{self.kubectl('logs', pod, '--tail=25', '--ignore-errors')}")
        return "\n".join(lines)

    def remove(self) -> None:
        """Remove it with all that it has started, and the volumes; CRD and priority classes stay."""
        self.kubectl("delete", "deployments,jobs", "--all", "--wait=false")
        self.kubectl("delete", "pods", "--all", "--grace-period=0", "--force")
        self.cluster.kubectl("delete", "namespace", NAMESPACE, OPERATORS, "--ignore-not-found", "--timeout=110s")
        self.cluster.kubectl("delete", "persistentvolume", "-l", "app.kubernetes.io/part-of=runstart")

    @contextlib.contextmanager
    def _changing(self) -> Iterator[dict[str, Any]]:
        path = self.folder / _OVERLAY / "kustomization.yaml"
        told = yaml.safe_load(path.read_text())
        yield told
        path.write_text(yaml.safe_dump(told, sort_keys=False))

    def _is_rolled_out(self, deployment: str) -> bool:
        told = self.kubectl("rollout", "status", f"deployment/{deployment}", "--watch=false")
        return "successfully rolled out" in told


def deploy(cluster: RunningCluster, folder: Path, places: Places) -> Deployment:
    """Apply the overlay of the tests; its pods need not be there yet: `Deployment.wait` waits for them.

    Parameters
    ----------
    cluster : RunningCluster
        Which has the image runstart/code-location:0.1.0.
    folder : Path
        An empty folder that user 10001 of the cluster's pods can reach.
    places : Places
        Where the servers are.
    """
    deployment = Deployment(cluster, folder)
    _copy_manifests(deployment, places)
    if places.has_gateway:
        deployment.use_gateway()
    for path in (deployment.output, deployment.archive):
        path.mkdir()
        os.chown(path, USER, USER)
    cluster.kubectl("apply", "--server-side", "-f", str(REPOSITORY / "k8s/base/namespaces.yaml"))
    password = {"DAGSTER_PG_PASSWORD": places.postgresql["DAGSTER_PG_PASSWORD"]}
    keys = {name: places.aws[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
    apply_objects(cluster, [make_secret("postgresql", password), make_secret("object-store", keys)])
    deployment.apply()
    return deployment


def make_secret(name: str, values: Mapping[str, str]) -> dict[str, Any]:
    """Return a secret of the namespace of Dagster's parts."""
    metadata = {"name": name, "namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": dict(values)}


def apply_objects(cluster: RunningCluster, objects: list[dict[str, Any]]) -> None:
    """Apply objects."""
    listed = {"apiVersion": "v1", "kind": "List", "items": objects}
    cluster.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(listed))


def _copy_manifests(deployment: Deployment, places: Places) -> None:
    shutil.copytree(REPOSITORY / "k8s", deployment.folder / "k8s", ignore=shutil.ignore_patterns("images"))
    overlay = shutil.copytree(REPOSITORY / _OVERLAY, deployment.folder / _OVERLAY)
    settings = {
        "RUNSTART_KAFKA": places.kafka,
        "RUNSTART_OBJECT_STORE": places.object_store,
        "RUNSTART_LOGS_BUCKET": places.object_store.removeprefix("s3://").split("/")[0],
        **{name: value for name, value in places.aws.items() if not name.endswith(("_KEY", "_KEY_ID"))},
        **{name: value for name, value in places.postgresql.items() if not name.endswith("_PASSWORD")},
        "OUTPUT_FOLDER": str(deployment.output),
        "ARCHIVE_FOLDER": str(deployment.archive),
        **places.settings,
    }
    (overlay / "settings.env").write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
    for name, text in places.files.items():
        (deployment.folder / "k8s/overlays/facility" / name).write_text(text)
