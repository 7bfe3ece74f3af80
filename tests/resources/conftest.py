"""An instance whose launcher and executor talk to a cluster that a test pretends."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest
from dagster._core.test_utils import instance_for_test

KUBECONFIG = {
    "apiVersion": "v1",
    "kind": "Config",
    "current-context": "c",
    "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
    "clusters": [{"name": "c", "cluster": {"server": "https://localhost:1"}}],
    "users": [{"name": "u", "user": {"token": "t"}}],
}


@pytest.fixture(scope="module")
def launcher_settings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The configuration of a launcher on a machine beside the cluster."""
    kubeconfig = tmp_path_factory.mktemp("launcher") / "kubeconfig"
    kubeconfig.write_text(json.dumps(KUBECONFIG))
    return {
        "load_incluster_config": False,
        "kubeconfig_file": str(kubeconfig),
        "job_namespace": "runstart",
        "service_account_name": "runs",
        "instance_config_map": "dagster",
        "job_image": "runstart/code-location:0.1.0",
        "dagster_home": "/opt/dagster",
    }


@pytest.fixture(scope="module")
def instance(launcher_settings: dict[str, Any]) -> Iterator[dg.DagsterInstance]:
    """An instance as on a cluster; the tests of a file share it."""
    settings = {
        "run_launcher": {"module": "resources.run_launcher", "class": "RunLauncher", "config": launcher_settings},
        "run_monitoring": {"enabled": True, "max_resume_run_attempts": 1},
        "run_retries": {"enabled": True, "max_retries": 5, "retry_on_asset_or_op_failure": False},
    }
    with instance_for_test(overrides=settings) as made:
        yield made
