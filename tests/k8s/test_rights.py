"""Each account may do what the code that runs under it does, and is refused what would harm others.

What is allowed and refused is asked of the API server's authorizer for the whole table; what matters most is also tried,
with a token of the account.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from k8s_kit import NAMESPACE, OPERATORS, OVERLAYS, apply_objects, make_secret

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

    from runstart.facility.cluster import RunningCluster

pytestmark = pytest.mark.k8s

HERE, THERE = NAMESPACE, OPERATORS
ACCOUNTS = (
    "webserver",
    "webserver-read-only",
    "daemon",
    "code-location",
    "instrument-controller",
    "runs",
    "compute-runs",
    "live-runs",
    "steps",
    "gateway",
)
START_OPERATORS = {
    (THERE, "jobs", "create get list delete"),
    (THERE, "pods", "list watch patch delete"),
    (THERE, "pods/log", "get"),
    (THERE, "events", "list"),
    (THERE, "services", "create get list delete"),
    (THERE, "networkpolicies", "create delete"),
}
ALLOWED = {
    "webserver": {(HERE, "jobs", "list delete"), (HERE, "pods", "list delete")},
    "daemon": {
        (HERE, "jobs", "create list delete"),
        (HERE, "pods", "list delete"),
        (HERE, "pods/log", "get"),
        (HERE, "events", "list"),
    },
    "code-location": {
        (HERE, "jobs", "list delete"),
        (HERE, "pods", "list delete"),
        (HERE, "pods/log", "get"),
        (HERE, "events", "list"),
        (THERE, "jobs", "list delete"),
        (THERE, "pods", "list delete"),
        (THERE, "services", "list delete"),
        (THERE, "networkpolicies", "delete"),
    },
    "runs": {
        (HERE, "jobs", "create list delete"),
        (HERE, "pods", "get list delete"),
        (HERE, "pods/log", "get"),
        (HERE, "events", "list"),
        *START_OPERATORS,
    },
    "compute-runs": START_OPERATORS,
    "instrument-controller": {
        (HERE, "instruments", "get list watch"),
        (HERE, "instruments/status", "patch"),
        (HERE, "configmaps:instruments", "get patch"),
        (HERE, "deployments:code-location", "get patch"),
        (HERE, "deployments:gateway", "get patch"),
    },
}
VERBS = ("create", "get", "list", "watch", "patch", "update", "delete", "deletecollection")
GROUPS = {
    "jobs": "batch",
    "cronjobs": "batch",
    "deployments": "apps",
    "statefulsets": "apps",
    "networkpolicies": "networking.k8s.io",
    "roles": "rbac.authorization.k8s.io",
    "rolebindings": "rbac.authorization.k8s.io",
    "instruments": "runstart.science",
}
RESOURCES = (
    "pods",
    "pods/log",
    "pods/exec",
    "pods/attach",
    "pods/portforward",
    "pods/ephemeralcontainers",
    "jobs",
    "jobs/status",
    "cronjobs",
    "events",
    "secrets",
    "configmaps",
    "configmaps:instruments",
    "configmaps:dagster",
    "services",
    "serviceaccounts",
    "serviceaccounts/token",
    "persistentvolumeclaims",
    "deployments",
    "deployments:code-location",
    "deployments:gateway",
    "deployments:daemon",
    "statefulsets",
    "networkpolicies",
    "roles",
    "rolebindings",
    "instruments",
    "instruments/status",
)
CLUSTER_WIDE = ("nodes", "namespaces", "persistentvolumes", "nodes/proxy")


@pytest.fixture(scope="module", autouse=True)
def _accounts(bare_cluster: RunningCluster) -> None:
    rendered = list(yaml.safe_load_all(bare_cluster.kubectl("kustomize", str(OVERLAYS["facility"]))))
    for kinds in (
        {"Namespace", "CustomResourceDefinition"},
        {"ServiceAccount", "Role", "RoleBinding", "LimitRange", "ResourceQuota"},
    ):
        apply_objects(bare_cluster, [each for each in rendered if each["kind"] in kinds])
    apply_objects(bare_cluster, [make_secret("anybodys", {"password": "of nobody"})])


def client_of(cluster: RunningCluster, account: str) -> ApiClient:
    """Return a client with a token of an account."""
    from kubernetes import config

    told = yaml.safe_load(cluster.kubeconfig.read_text())
    token = cluster.kubectl("-n", NAMESPACE, "create", "token", account).strip()
    told["users"] = [{"name": each["name"], "user": {"token": token}} for each in told["users"]]
    return config.new_client_from_config_dict(told)


def may(client: ApiClient, namespace: str, resource: str, verb: str) -> bool:
    """Ask the API server whether the client's account has a right."""
    from kubernetes.client import AuthorizationV1Api

    kind, _, name = resource.partition(":")
    kind, _, part = kind.partition("/")
    asked = {"namespace": namespace, "group": GROUPS.get(kind, ""), "resource": kind, "verb": verb}
    asked |= ({"name": name} if name else {}) | ({"subresource": part} if part else {})
    review = {"spec": {"resourceAttributes": asked}}
    return bool(AuthorizationV1Api(client).create_self_subject_access_review(review).status.allowed)


@pytest.mark.parametrize("account", ACCOUNTS)
def test_account_has_the_rights_that_its_code_needs_and_no_others(
    bare_cluster: RunningCluster, account: str
) -> None:
    client = client_of(bare_cluster, account)
    asked = [(namespace, resource, verb) for namespace in (HERE, THERE) for resource in RESOURCES for verb in VERBS]
    asked += [("", resource, verb) for resource in CLUSTER_WIDE for verb in VERBS]
    asked += [
        ("default", resource, verb) for resource in ("pods", "secrets", "jobs") for verb in ("list", "create")
    ]

    allowed = {each for each in asked if may(client, *each)}

    needed = {
        (namespace, resource, verb)
        for namespace, resource, verbs in ALLOWED.get(account, ())
        for verb in verbs.split()
    }
    assert needed <= set(asked)
    assert allowed == needed


@pytest.mark.parametrize("account", ACCOUNTS)
def test_secrets_are_shown_to_no_account(bare_cluster: RunningCluster, account: str) -> None:
    from kubernetes.client import ApiException, CoreV1Api

    with pytest.raises(ApiException, match="forbidden"):
        CoreV1Api(client_of(bare_cluster, account)).read_namespaced_secret("anybodys", NAMESPACE)


@pytest.mark.parametrize("account", ["webserver", "code-location", "instrument-controller", "live-runs", "steps"])
def test_nothing_is_started_by(bare_cluster: RunningCluster, account: str) -> None:
    from kubernetes.client import ApiException, BatchV1Api, CoreV1Api

    client = client_of(bare_cluster, account)
    for namespace in (HERE, THERE):
        with pytest.raises(ApiException, match="forbidden"):
            BatchV1Api(client).create_namespaced_job(namespace, make_job("steps"))
        with pytest.raises(ApiException, match="forbidden"):
            CoreV1Api(client).create_namespaced_pod(
                namespace, {"spec": make_job("steps")["spec"]["template"]["spec"]}
            )


def test_run_starts_a_step_and_an_operator_and_removes_them(bare_cluster: RunningCluster) -> None:
    from kubernetes.client import BatchV1Api

    batch = BatchV1Api(client_of(bare_cluster, "runs"))
    for namespace, account in ((HERE, "steps"), (THERE, "default")):
        batch.create_namespaced_job(namespace, make_job(account))
        batch.delete_namespaced_job("try", namespace, propagation_policy="Background")


def test_run_changes_no_deployment_and_enters_no_pod(bare_cluster: RunningCluster) -> None:
    from kubernetes.client import ApiException, AppsV1Api, CoreV1Api

    client = client_of(bare_cluster, "runs")
    with pytest.raises(ApiException, match="forbidden"):
        AppsV1Api(client).patch_namespaced_deployment("daemon", NAMESPACE, {"spec": {"replicas": 0}})
    with pytest.raises(ApiException, match="forbidden"):
        CoreV1Api(client).connect_post_namespaced_pod_exec("any", NAMESPACE, command="id", stdout=True)


def test_controller_rolls_the_code_location_and_no_other_deployment(bare_cluster: RunningCluster) -> None:
    from kubernetes.client import ApiException, AppsV1Api

    apps = AppsV1Api(client_of(bare_cluster, "instrument-controller"))
    with pytest.raises(ApiException, match="Not Found"):  # nothing is deployed here: it was let through
        apps.patch_namespaced_deployment("code-location", NAMESPACE, {"spec": {"paused": True}})
    with pytest.raises(ApiException, match="forbidden"):
        apps.patch_namespaced_deployment("daemon", NAMESPACE, {"spec": {"paused": True}})


def test_operators_are_held_to_their_quota_and_to_bounds_of_their_own(bare_cluster: RunningCluster) -> None:
    pod = {"spec": make_job("default")["spec"]["template"]["spec"], "metadata": {"name": "bounded"}}
    made = json.loads(
        bare_cluster.kubectl(
            "-n", THERE, "create", "--dry-run=server", "-o", "json", "-f", "-",
            stdin=json.dumps({"apiVersion": "v1", "kind": "Pod", **pod}),
        )
    )  # fmt: skip
    assert made["spec"]["containers"][0]["resources"]["limits"] == {"cpu": "2", "memory": "2Gi"}

    pod["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "1000"}, "limits": {"cpu": "1000"}}
    with pytest.raises(Exception, match="exceeded quota"):
        bare_cluster.kubectl(
            "-n", THERE, "create", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "Pod", **pod})
        )


def make_job(account: str) -> dict[str, Any]:
    """Return a small job that Pod Security lets in; its image is never there."""
    container = {
        "name": "task",
        "image": "localhost/nowhere/none:1",
        "imagePullPolicy": "Never",
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    pod = {
        "serviceAccountName": account,
        "automountServiceAccountToken": False,
        "restartPolicy": "Never",
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 10001,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
    }
    return {
        "metadata": {"name": "try"},
        "spec": {"template": {"spec": pod}, "backoffLimit": 0, "suspend": True},
    }
