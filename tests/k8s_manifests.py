"""The manifests of every overlay as kubectl renders them, without a cluster."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import pytest
import yaml
from k8s_kit import OVERLAYS
from pod_objects import make_run_pod

from runstart.facility.cluster.programs import cluster_programs_dir

DEPLOYED = pytest.mark.parametrize("overlay", OVERLAYS)
RENDERED_HERE = pytest.mark.skipif(
    not (cluster_programs_dir() / "kubectl").is_file(), reason="kubectl is built by make test-k8s"
)
Object = Mapping[str, Any]


@cache
def rendered(overlay: str) -> tuple[Object, ...]:
    kubectl = cluster_programs_dir() / "kubectl"
    command = [str(kubectl), "kustomize", str(OVERLAYS[overlay])]
    return tuple(yaml.safe_load_all(subprocess.run(command, check=True, capture_output=True, text=True).stdout))


def of_kind(overlay: str, *kinds: str) -> list[Object]:
    return [each for each in rendered(overlay) if each["kind"] in kinds]


def named(overlay: str, kind: str) -> dict[tuple[str, str], Object]:
    return {(each["metadata"]["namespace"], each["metadata"]["name"]): each for each in of_kind(overlay, kind)}


def pods(overlay: str) -> Iterator[tuple[str, Object]]:
    """Yield the pod of each workload, and that of a run."""
    for each in of_kind(overlay, "Deployment", "StatefulSet", "Job"):
        template = each["spec"]["template"]
        claims = [claim["metadata"]["name"] for claim in each["spec"].get("volumeClaimTemplates", [])]
        spec = {"volumes": [], **template["spec"], "templated": claims}
        yield each["metadata"]["name"], {"kind": each["kind"], "metadata": template["metadata"], "spec": spec}
    yield "run", make_run_pod() | {"kind": "Run"}
