"""Each overlay is accepted by a real API server, which validates every field and holds pods to Pod Security."""

from __future__ import annotations

import json
import os
import subprocess
from base64 import b64decode
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from k8s_kit import OVERLAYS, REPOSITORY, apply_objects
from pod_objects import make_run_pod

if TYPE_CHECKING:
    from runstart.facility.cluster import RunningCluster

pytestmark = pytest.mark.k8s

# What must be there before an object that is in it, or of it, can even be looked at.
FIRST = ("Namespace", "CustomResourceDefinition")


def dry_run(cluster: RunningCluster, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run kubectl, which fails at warnings too: Pod Security warns of deployments whose pods it would refuse."""
    command = [str(cluster.programs / "kubectl"), "--warnings-as-errors", *arguments, "--dry-run=server"]
    environ = os.environ | cluster.environment
    return subprocess.run(
        command, env=environ, input=stdin, capture_output=True, text=True, check=False, timeout=100
    )


@pytest.fixture(scope="module", autouse=True)
def _namespaces_and_crd(bare_cluster: RunningCluster) -> None:
    objects = yaml.safe_load_all(bare_cluster.kubectl("kustomize", str(OVERLAYS["laptop-cluster"])))
    apply_objects(bare_cluster, [each for each in objects if each["kind"] in FIRST])
    bare_cluster.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")


@pytest.mark.parametrize("folder", [REPOSITORY / "k8s/base", *OVERLAYS.values()], ids=["base", *OVERLAYS])
def test_api_server_accepts(bare_cluster: RunningCluster, folder: Path) -> None:
    done = dry_run(bare_cluster, "apply", "--server-side", "--validate=strict", "-k", str(folder))

    assert done.returncode == 0, done.stderr
    rendered = list(yaml.safe_load_all(bare_cluster.kubectl("kustomize", str(folder))))
    assert len(done.stdout.splitlines()) == len(rendered)


def test_api_server_refuses_a_field_that_does_not_exist(bare_cluster: RunningCluster) -> None:
    text = (REPOSITORY / "k8s/base/daemon.yaml").read_text().replace("replicas:", "replicass:")

    done = dry_run(bare_cluster, "apply", "--server-side", "--validate=strict", "-f", "-", stdin=text)

    assert done.returncode != 0
    assert "replicass" in done.stderr


@pytest.mark.parametrize("change", [None, {"allowPrivilegeEscalation": True}, {"runAsUser": 0}])
def test_only_an_unprivileged_run_pod_is_let_in(
    bare_cluster: RunningCluster, change: dict[str, object] | None
) -> None:
    pod = make_run_pod()
    accounts = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "runs", "namespace": "runstart"}}
    classes = yaml.safe_load_all((REPOSITORY / "k8s/base/priority-classes.yaml").read_text())
    apply_objects(bare_cluster, [accounts, *classes])
    if change is not None:
        pod["spec"]["containers"][0]["securityContext"] |= change

    done = dry_run(bare_cluster, "create", "-f", "-", stdin=yaml.safe_dump(pod))

    assert (done.returncode == 0) is (change is None), done.stderr
    if change is not None:
        assert 'violates PodSecurity "restricted' in done.stderr


def test_secrets_of_a_laptop_are_random_complete_and_made_once(bare_cluster: RunningCluster) -> None:
    program = str(OVERLAYS["laptop-cluster"] / "make-secrets.sh")
    environ = os.environ | bare_cluster.environment | {"PATH": f"{bare_cluster.programs}:{os.environ['PATH']}"}

    def made() -> dict[str, dict[str, str]]:
        done = subprocess.run([program], env=environ, check=True, capture_output=True, text=True, timeout=100)
        told = json.loads(bare_cluster.kubectl("-n", "runstart", "get", "secrets", "-o", "json"))["items"]
        found = {each["metadata"]["name"]: each["data"] for each in told}
        assert not any(
            b64decode(value).decode() in done.stdout for data in found.values() for value in data.values()
        )
        return {name: found[name] for name in ("postgresql", "object-store")}

    first = made()

    assert {name: set(data) for name, data in first.items()} == {
        "postgresql": {"DAGSTER_PG_PASSWORD"},
        "object-store": {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"},
    }
    assert len({value for data in first.values() for value in data.values()}) == 3
    assert made() == first
