"""What kustomize makes of each overlay: nothing privileged, nothing unbounded, no secret, no name that leads nowhere."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml
from dagster._config import validate_config
from dagster._core.instance.config import dagster_instance_config_schema
from k8s_kit import DEPLOYMENTS, NAMESPACE, OPERATORS, OVERLAYS, REPOSITORY
from k8s_manifests import DEPLOYED, RENDERED_HERE, named, of_kind, pods, rendered
from pod_objects import launcher_config, make_run_pod

from gateway.settings import GatewaySettings
from ops.scan_pods import step_pod
from resources.run_launcher import RunLauncher
from runstart.alerts import read_alerts
from runstart.compute import read_environments
from runstart.instruments import read_instruments
from runstart.microscopes import read_microscopes
from runstart.nights import read_sites

BASE = REPOSITORY / "k8s/base"
LAPTOP_YAML = yaml.safe_load((REPOSITORY / "dagster.yaml").read_text())
CLUSTER_YAML = yaml.safe_load((BASE / "config/dagster.yaml").read_text())

pytestmark = RENDERED_HERE


@DEPLOYED
def test_every_container_is_unprivileged_on_a_read_only_root(overlay: str) -> None:
    for name, pod in pods(overlay):
        context = pod["spec"]["securityContext"]
        assert context["runAsNonRoot"], name
        assert context["runAsUser"] > 0, name
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}, name
        for container in pod["spec"]["containers"]:
            held = container["securityContext"]
            assert held["readOnlyRootFilesystem"], name
            assert held["capabilities"] == {"drop": ["ALL"]}, name
            assert held["allowPrivilegeEscalation"] is False, name


@DEPLOYED
def test_every_container_is_bounded_and_says_what_it_needs(overlay: str) -> None:
    for name, pod in pods(overlay):
        for container in pod["spec"]["containers"]:
            for kind in ("requests", "limits"):
                assert container["resources"][kind].keys() >= {"cpu", "memory"}, name
        for volume in pod["spec"]["volumes"]:
            assert "hostPath" not in volume, name
            assert "emptyDir" not in volume or "sizeLimit" in volume["emptyDir"], name


@DEPLOYED
def test_every_server_is_probed(overlay: str) -> None:
    for name, pod in pods(overlay):
        if pod["kind"] in ("Deployment", "StatefulSet"):
            wanted = {"startupProbe", "livenessProbe"} | ({"readinessProbe"} if name != "daemon" else set())
            for container in pod["spec"]["containers"]:
                assert container.keys() >= wanted, name


@DEPLOYED
def test_every_image_is_pinned(overlay: str) -> None:
    for name, pod in pods(overlay):
        for container in pod["spec"]["containers"]:
            tag = re.fullmatch(r"[^@:]+:(?P<tag>[\w.-]+)(@sha256:[0-9a-f]{64})?", container["image"])
            assert tag, f"{name}: {container['image']}"
            assert tag["tag"] != "latest", name


@DEPLOYED
def test_runs_are_started_in_the_image_of_the_code_location(overlay: str) -> None:
    (container,) = named(overlay, "Deployment")[NAMESPACE, "code-location"]["spec"]["template"]["spec"][
        "containers"
    ]

    assert container["env"] == [{"name": "DAGSTER_CURRENT_IMAGE", "value": container["image"]}]
    assert "job_image" not in launcher_config()


@DEPLOYED
def test_secrets_are_named_and_never_contained(overlay: str) -> None:
    assert not of_kind(overlay, "Secret")
    for config_map in of_kind(overlay, "ConfigMap"):
        for key in config_map.get("data", {}):
            assert not key.endswith(("PASSWORD", "SECRET", "_KEY", "ACCESS_KEY_ID", "TOKEN")), key


@DEPLOYED
def test_tokens_are_mounted_where_rights_are_bound_and_nowhere_else(overlay: str) -> None:
    bound = {subject["name"] for each in of_kind(overlay, "RoleBinding") for subject in each.get("subjects", ())}
    assert all(each["automountServiceAccountToken"] is False for each in of_kind(overlay, "ServiceAccount"))
    assert not of_kind(overlay, "ClusterRole", "ClusterRoleBinding")
    for name, pod in pods(overlay):
        assert pod["spec"]["automountServiceAccountToken"] is (pod["spec"]["serviceAccountName"] in bound), name


@DEPLOYED
def test_whatever_is_named_is_there(overlay: str) -> None:
    for name, pod in pods(overlay):
        spec, namespace = pod["spec"], NAMESPACE
        assert (namespace, spec["serviceAccountName"]) in named(overlay, "ServiceAccount"), name
        sources = [source["configMapRef"] for source in _env_from(spec) if "configMapRef" in source]
        sources += [volume["configMap"] for volume in spec["volumes"] if "configMap" in volume]
        assert all((namespace, source["name"]) in named(overlay, "ConfigMap") for source in sources), name
        for volume in spec["volumes"]:
            claim = volume.get("persistentVolumeClaim", {}).get("claimName")
            assert claim is None or (namespace, claim) in named(overlay, "PersistentVolumeClaim"), name
        volumes = {volume["name"] for volume in spec["volumes"]} | set(spec.get("templated", ()))
        mounted = {mount["name"] for container in spec["containers"] for mount in container.get("volumeMounts", ())}
        assert mounted == volumes, name
    classes = {each["metadata"]["name"] for each in of_kind(overlay, "PriorityClass")}
    assert {pod["spec"]["priorityClassName"] for name, pod in pods(overlay) if name != "make-bucket"} <= classes
    selected = [pod["metadata"]["labels"] for _, pod in pods(overlay)]
    for each in of_kind(overlay, "Service"):
        assert any(each["spec"]["selector"].items() <= labels.items() for labels in selected), each["metadata"][
            "name"
        ]
    for each in of_kind(overlay, "Ingress"):
        backend = each["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]["name"]
        assert (NAMESPACE, backend) in named(overlay, "Service")


@DEPLOYED
def test_operators_see_the_same_volumes_by_claims_of_their_own_namespace(overlay: str) -> None:
    (settings,) = (each for each in of_kind(overlay, "ConfigMap") if each["metadata"]["name"] == "settings")
    mapped = settings["data"]["RUNSTART_LAUNCHER_VOLUMES"]

    assert mapped == "/output=pvc:output, /archive=pvc:archive:ro"
    volumes = {each["metadata"]["name"]: each["spec"] for each in of_kind(overlay, "PersistentVolume")}
    for name in ("output", "archive"):
        both = [named(overlay, "PersistentVolumeClaim")[space, name]["spec"] for space in (NAMESPACE, OPERATORS)]
        here, there = (volumes[claim["volumeName"]] for claim in both)
        assert here["claimRef"] == {"namespace": NAMESPACE, "name": name}
        assert there["claimRef"] == {"namespace": OPERATORS, "name": name}
        assert _without_handle(here) == _without_handle(there)
        assert here["persistentVolumeReclaimPolicy"] == "Retain"


def test_facility_has_ceph_to_write_and_the_archive_to_read() -> None:
    volumes = {each["metadata"]["name"]: each["spec"] for each in of_kind("facility", "PersistentVolume")}

    ceph, archive = volumes["runstart-output"], volumes["runstart-archive"]
    assert (ceph["csi"]["driver"], ceph["accessModes"]) == ("cephfs.csi.ceph.com", ["ReadWriteMany"])
    assert (archive["csi"]["driver"], archive["accessModes"]) == ("smb.csi.k8s.io", ["ReadOnlyMany"])
    assert {"ro", "noserverino", "_netdev", "vers=2.1"} <= set(archive["mountOptions"])
    mounts = {mount["mountPath"]: mount for mount in make_run_pod()["spec"]["containers"][0]["volumeMounts"]}
    assert "readOnly" not in mounts["/output"]
    assert mounts["/archive"]["readOnly"]


def test_heavy_steps_of_a_facility_go_to_its_big_nodes() -> None:
    (microscope,) = read_microscopes(OVERLAYS["facility"] / "microscopes.toml", {}).values()

    pod = make_run_pod(step_pod(microscope))["spec"]

    assert pod["nodeSelector"] == {"runstart.science/staging": "big"}
    assert {"key": "staging", "operator": "Equal", "value": "big", "effect": "NoSchedule"} in pod["tolerations"]
    assert pod["containers"][0]["resources"]["requests"] == {"cpu": "8", "memory": "5120Mi"}


def test_placeholders_of_a_facility_are_all_replaced() -> None:
    lines = (OVERLAYS["facility"] / "settings.env").read_text().splitlines()
    names = [line.split("=")[0] for line in lines if line and not line.startswith("#")]

    for each in rendered("facility"):
        text = yaml.safe_dump({key: value for key, value in each.items() if each["kind"] != "ConfigMap"})
        assert not [name for name in names if name in text], each["metadata"]


def test_two_daemons_never_run_at_once_and_the_code_location_is_never_away() -> None:
    deployments = named("facility", "Deployment")

    assert {name for _, name in deployments} == {*DEPLOYMENTS, "proxy"}
    assert deployments[NAMESPACE, "daemon"]["spec"]["replicas"] == 1
    assert deployments[NAMESPACE, "daemon"]["spec"]["strategy"] == {"type": "Recreate"}
    rolling = deployments[NAMESPACE, "code-location"]["spec"]["strategy"]["rollingUpdate"]
    assert rolling == {"maxUnavailable": 0, "maxSurge": 1}


def test_nobody_asks_two_versions_of_the_code_location_in_turn() -> None:
    service = named("facility", "Service")[NAMESPACE, "code-location"]
    assert service["spec"]["sessionAffinity"] == "ClientIP"


@DEPLOYED
def test_budgets_let_every_node_be_drained(overlay: str) -> None:
    replicas = {name: each["spec"].get("replicas", 1) for (_, name), each in named(overlay, "Deployment").items()}

    for each in of_kind(overlay, "PodDisruptionBudget"):
        assert each["spec"]["maxUnavailable"] == 1
        assert replicas[each["metadata"]["name"]] > 1


def test_each_rule_of_a_role_says_what_needs_it() -> None:
    lines = (BASE / "rights.yaml").read_text().splitlines()
    rules = [number for number, line in enumerate(lines) if line.startswith("  - apiGroups:")]

    assert len(rules) == sum(len(each["rules"]) for each in of_kind("facility", "Role"))
    assert all(lines[number - 1].startswith("  # ") for number in rules)
    assert "*" not in "".join(line for line in lines if not line.lstrip().startswith("#"))


def test_instance_of_a_cluster_is_that_of_a_laptop_but_for_pods_and_servers() -> None:
    parts = ("telemetry", "nux", "run_retries", "retention", "freshness")
    assert {name: CLUSTER_YAML[name] for name in parts} == {name: LAPTOP_YAML[name] for name in parts}
    assert LAPTOP_YAML.keys() <= CLUSTER_YAML.keys()
    for part in ("sensors", "run_queue", "run_monitoring"):
        assert LAPTOP_YAML[part].keys() <= CLUSTER_YAML[part].keys()
    limited = [[(each["key"], each.get("value")) for each in told["run_queue"]["tag_concurrency_limits"]]
               for told in (LAPTOP_YAML, CLUSTER_YAML)]  # fmt: skip
    assert limited[0] == limited[1]
    assert CLUSTER_YAML["run_monitoring"]["poll_interval_seconds"] == 5


def test_dagster_accepts_the_instance_of_a_cluster() -> None:
    told = validate_config(dagster_instance_config_schema(), CLUSTER_YAML)
    assert told.success, told.errors
    launcher = validate_config(dict(RunLauncher.config_type()), launcher_config())
    assert launcher.success, launcher.errors


def test_only_named_parts_of_a_pod_can_be_changed_from_the_launchpad() -> None:
    allowed = launcher_config()["only_allow_user_defined_k8s_config_fields"]

    assert allowed["container_config"] == {"resources": True}
    assert not {"volumes", "containers", "init_containers", "host_network", "security_context"} & set(
        allowed["pod_spec_config"]
    )


@DEPLOYED
def test_initial_files_are_what_the_code_location_reads(overlay: str, tmp_path: Any) -> None:
    maps = {each["metadata"]["name"]: each.get("data", {}) for each in of_kind(overlay, "ConfigMap")}
    assert maps["instruments"] == {}  # it is the controller's
    for name, text in (maps["sites-and-microscopes"] | maps["instruments-base"]).items():
        (tmp_path / name).write_text(text)

    facility = read_instruments(tmp_path / "instruments.toml", maps["settings"])
    read_sites(tmp_path / "sites.toml", maps["settings"])
    read_microscopes(tmp_path / "microscopes.toml", maps["settings"])
    read_alerts(tmp_path / "alerts.toml")
    assert read_environments({"RUNSTART_COMPUTE": str(tmp_path / "compute.toml")}) == {}
    GatewaySettings.from_environment(maps["settings"])

    assert facility.clusters["default"].bootstrap_servers == maps["settings"]["RUNSTART_KAFKA"]


def _env_from(spec: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [source for container in spec["containers"] for source in container.get("envFrom", ())]


def _without_handle(volume: Mapping[str, Any]) -> dict[str, Any]:
    told = {key: value for key, value in volume.items() if key != "claimRef"}
    if "csi" in told:
        told["csi"] = {key: value for key, value in told["csi"].items() if key != "volumeHandle"}
    return told
