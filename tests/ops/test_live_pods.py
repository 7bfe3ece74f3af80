"""What the pod of a live run is asked for; a misspelled key fails where Dagster parses it, so it is parsed here."""

from __future__ import annotations

import json
from typing import Any

from dagster_k8s.job import UserDefinedDagsterK8sConfig, get_user_defined_k8s_config

from assets import define_live_runs
from ops.live_pods import live_pod
from ops.tags import K8S_CONFIG_TAG
from runstart.instruments import Access, Instrument, Script
from runstart.pod_ends import parse_quantity

GIB = 2**30


def instrument(**changes: Any) -> Instrument:
    banks = [{"name": "rear", "shape": [1000, 1000], "first_detector_id": 1}]
    tof = {"start_us": 0, "stop_us": 100_000, "bins": 100}
    views = ["tof", "pixel", "image", "pixel_tof"]
    return Instrument(**{"name": "ALFA", "banks": banks, "tof": tof, "views": views} | changes)


def parse(config: dict[str, Any]) -> UserDefinedDagsterK8sConfig:
    return get_user_defined_k8s_config({K8S_CONFIG_TAG: json.dumps(config)})


def memory(declared: Instrument, part: str) -> float:
    return parse_quantity(parse(live_pod(declared)).container_config["resources"][part]["memory"])


def test_every_key_is_one_that_kubernetes_has() -> None:
    config = live_pod(instrument())
    assert UserDefinedDagsterK8sConfig.from_dict(config) == parse(config)


def test_memory_follows_from_the_views() -> None:
    small, large = instrument(), instrument(views=["tof", "pixel"])
    views = 3 * (small.memory_bytes(1) - large.memory_bytes(1))

    assert abs(memory(small, "requests") - memory(large, "requests") - views) <= 2**20
    assert memory(large, "requests") >= GIB


def test_run_may_take_what_its_instrument_declares_for_all_periods() -> None:
    declared = instrument(max_memory_mb=5000)
    assert memory(declared, "limits") >= GIB + 3 * 5000 * 10**6
    assert memory(declared, "limits") >= memory(declared, "requests")


def test_script_has_its_memory_beside_the_views() -> None:
    script = Script(folder="/scripts", memory_mb=2000)
    difference = memory(instrument(script=script), "requests") - memory(instrument(), "requests")
    assert abs(difference - 2000 * 10**6) <= 2**20


def test_live_run_comes_before_others_and_has_no_rights() -> None:
    assert parse(live_pod(instrument())).pod_spec_config == {
        "priority_class_name": "runstart-live",
        "service_account_name": "live-runs",
        "automount_service_account_token": False,
    }


def test_live_run_that_starts_containers_may_do_so() -> None:
    script = Script(folder="/scripts", container="ghcr.io/facility/mantid:1")
    assert parse(live_pod(instrument(script=script))).pod_spec_config == {"priority_class_name": "runstart-live"}


def test_run_has_its_pod_by_its_job_and_by_its_asset() -> None:
    made = define_live_runs(instrument(), Access())
    wanted = parse(live_pod(instrument()))

    assert get_user_defined_k8s_config(made.job.tags) == wanted
    assert get_user_defined_k8s_config(made.asset.op.tags) == wanted
