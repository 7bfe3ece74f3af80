"""The pods of runs and steps as the shipped instance makes them, without a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import yaml
from dagster_k8s.container_context import K8sContainerContext
from dagster_k8s.job import UserDefinedDagsterK8sConfig, construct_dagster_k8s_job
from kubernetes.client import ApiClient

from resources.pods import with_pod_rules

DAGSTER_YAML = Path(__file__).resolve().parents[1] / "k8s/base/config/dagster.yaml"
IMAGE = "runstart/code-location:0.1.0"


def launcher_config() -> dict[str, Any]:
    """Return the configuration of the shipped run launcher."""
    return cast("dict[str, Any]", yaml.safe_load(DAGSTER_YAML.read_text())["run_launcher"]["config"])


def make_run_pod(tag: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the pod of a run, as its job would make it.

    Parameters
    ----------
    tag : dict, optional
        The run's `dagster-k8s/config`.
    """
    config = launcher_config()
    context = K8sContainerContext(
        image_pull_policy=config["image_pull_policy"],
        service_account_name=config["service_account_name"],
        env_config_maps=config["env_config_maps"],
        env_secrets=config["env_secrets"],
        labels=config["labels"],
        namespace=config["job_namespace"],
        run_k8s_config=UserDefinedDagsterK8sConfig.from_dict(config["run_k8s_config"]),
    ).merge(K8sContainerContext(run_k8s_config=UserDefinedDagsterK8sConfig.from_dict(tag or {})))
    context = with_pod_rules(context)

    class Launcher:
        job_image = None
        dagster_home = config["dagster_home"]
        instance_config_map = config["instance_config_map"]
        postgres_password_secret = None

    job = construct_dagster_k8s_job(
        context.get_k8s_job_config(IMAGE, Launcher()),
        ["dagster", "api", "execute_run"],
        "dagster-run-1",
        user_defined_k8s_config=context.run_k8s_config,
        component="run_worker",
    )
    template = ApiClient().sanitize_for_serialization(job.spec.template)
    template["metadata"] |= {"name": "dagster-run-1", "namespace": config["job_namespace"]}
    return {"apiVersion": "v1", "kind": "Pod", **template}
