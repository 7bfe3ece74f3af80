"""What the pods of heavy steps are asked for; a misspelled key fails where Dagster parses it, so it is parsed here."""

from __future__ import annotations

import json
from typing import Any

import pytest
from dagster._core.errors import DagsterInvalidConfigError
from dagster_k8s.job import UserDefinedDagsterK8sConfig, get_user_defined_k8s_config

from assets import define_scans
from ops.scan_pods import following_pod, merge_pod, step_pod
from ops.tags import K8S_CONFIG_TAG
from runstart.microscopes import Microscope, Pods, Toleration

MIB = 2**20
PODS = Pods(
    node_selector={"frames": "yes"},
    tolerations=(Toleration(key="frames", effect="NoSchedule"), Toleration(key="spot", operator="Exists")),
)


def microscope(**changes: Any) -> Microscope:
    return Microscope(**{"name": "DELTA", "scans": "file:/scans", "batch_bytes": 512 * MIB, "threads": 4} | changes)


def parse(config: dict[str, Any]) -> UserDefinedDagsterK8sConfig:
    return get_user_defined_k8s_config({K8S_CONFIG_TAG: json.dumps(config)})


@pytest.mark.parametrize("pod", [step_pod, merge_pod, following_pod])
def test_every_key_is_one_that_kubernetes_has(pod: Any) -> None:
    config = pod(microscope(pods=PODS))
    parsed = parse(config)
    assert parsed.pod_spec_config["tolerations"] == [
        {"key": "frames", "operator": "Equal", "effect": "NoSchedule"},
        {"key": "spot", "operator": "Exists"},
    ]
    assert parsed.pod_spec_config["node_selector"] == {"frames": "yes"}
    assert UserDefinedDagsterK8sConfig.from_dict(config) == parsed


def test_memory_follows_from_the_batch_and_cpu_from_the_threads() -> None:
    resources = parse(step_pod(microscope())).container_config["resources"]
    assert resources == {
        "requests": {"cpu": "4", "memory": "1536Mi"},
        "limits": {"cpu": "5", "memory": "2304Mi"},
    }


def test_the_step_that_merges_has_room_for_more_batches() -> None:
    resources = parse(merge_pod(microscope())).container_config["resources"]
    assert resources["requests"]["memory"] == "3072Mi"


def test_a_microscope_without_wishes_is_placed_anywhere() -> None:
    assert parse(step_pod(microscope())).pod_spec_config == {"priority_class_name": "runstart-batch"}


def test_run_that_follows_a_scan_comes_before_others_and_has_no_rights() -> None:
    parsed = parse(following_pod(microscope(pods=PODS)))
    assert parsed.container_config == parse(merge_pod(microscope())).container_config
    assert parsed.pod_spec_config["priority_class_name"] == "runstart-live"
    assert parsed.pod_spec_config["service_account_name"] == "live-runs"
    assert parsed.pod_spec_config["automount_service_account_token"] is False
    assert parsed.pod_spec_config["node_selector"] == {"frames": "yes"}


@pytest.mark.parametrize("place", ["container_config", "pod_spec_config"])
def test_a_misspelled_key_does_not_pass(place: str) -> None:
    config = step_pod(microscope(pods=PODS))
    config[place]["node_selektor"] = config[place].popitem()[1]
    with pytest.raises(Exception, match="node_selektor"):
        parse(config)


def test_an_unknown_part_does_not_pass() -> None:
    with pytest.raises(DagsterInvalidConfigError):
        parse({"container": {}})


def test_every_operation_of_a_scan_that_is_heavy_has_a_pod_of_its_own() -> None:
    made = define_scans(microscope(pods=PODS))
    graph = next(asset for asset in made.assets if len(asset.keys) > 1).node_def
    tagged = {
        node.name: get_user_defined_k8s_config(node.tags)
        for node in graph.iterate_op_defs()
        if K8S_CONFIG_TAG in node.tags
    }
    assert set(tagged) == {"process_batch_DELTA", "merge_scan_DELTA"}
    assert all(config.pod_spec_config["node_selector"] == {"frames": "yes"} for config in tagged.values())
