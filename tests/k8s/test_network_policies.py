"""Nobody connects to anybody, but for what each part needs: network policies, as a plugin that enforces them reads them."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping

from k8s_kit import DEPLOYMENTS, NAMESPACE, OPERATORS
from k8s_manifests import DEPLOYED, RENDERED_HERE, Object, named, of_kind, pods

from runstart.launchers import LaunchSpec
from runstart.launchers._job_manifest import job_of
from runstart.launchers._pod_settings import PodSettings

pytestmark = RENDERED_HERE


@DEPLOYED
def test_nothing_reaches_a_pod_but_by_a_policy(overlay: str) -> None:
    policies = of_kind(overlay, "NetworkPolicy")
    shut = [each["metadata"]["namespace"] for each in policies if each["metadata"]["name"] == "deny-all"]
    assert sorted(shut) == [NAMESPACE, OPERATORS]
    for each in policies:
        if each["metadata"]["name"] == "deny-all":
            assert each["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
        for peer in (peer for rule in each["spec"].get("egress", ()) for peer in rule["to"]):
            assert ipaddress.ip_network(peer.get("ipBlock", {}).get("cidr", "0.0.0.0/0"))
    (webserver,) = (each for each in policies if each["metadata"]["name"] == "to-webserver")
    ((peer,),) = (rule["from"] for rule in webserver["spec"]["ingress"])
    let_in = [name for name in ("proxy", *DEPLOYMENTS) if selects(peer["podSelector"], component(name))]
    assert let_in == ["proxy", "gateway"]


@DEPLOYED
def test_the_gateway_asks_the_webserver_and_the_object_store_and_nothing_else(overlay: str) -> None:
    policies = [each for each in of_kind(overlay, "NetworkPolicy") if each["metadata"]["namespace"] == NAMESPACE]
    ways_out = {
        each["metadata"]["name"]
        for each in policies
        if each["spec"].get("egress") and selects(each["spec"]["podSelector"], component("gateway"))
    }
    (own,) = (each for each in policies if each["metadata"]["name"] == "gateway")

    assert ways_out - {"to-issuer"} == {"gateway", "to-names", "to-object-store"}
    (rule,) = own["spec"]["egress"]
    assert [name for name in DEPLOYMENTS if selects(rule["to"][0]["podSelector"], component(name))] == ["webserver"]
    (container,) = named(overlay, "Deployment")[NAMESPACE, "gateway"]["spec"]["template"]["spec"]["containers"]
    assert container["env"] == [{"name": "RUNSTART_DAGSTER_URL", "value": "http://webserver"}]
    assert [source["secretRef"]["name"] for source in container["envFrom"] if "secretRef" in source] == [
        "object-store"
    ]
    assert {mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")} == {"/tmp"}
    assert {container[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "readiness", "liveness")} == {
        "/health"
    }


@DEPLOYED
def test_an_algorithm_reaches_nothing_and_nothing_reaches_it(overlay: str) -> None:
    spec = LaunchSpec(("run",), "The algorithm", image="algorithm:1", confined=True)
    labels = job_of(spec, "algorithm:1", "algorithm", "here", PodSettings())["spec"]["template"]["metadata"][
        "labels"
    ]
    policies = [each for each in of_kind(overlay, "NetworkPolicy") if each["metadata"]["namespace"] == OPERATORS]

    chosen = [each for each in policies if selects(each["spec"]["podSelector"], labels)]

    assert [each["metadata"]["name"] for each in chosen] == ["deny-all"]
    assert chosen[0]["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


@DEPLOYED
def test_policies_select_pods_that_exist(overlay: str) -> None:
    known = {pod["metadata"]["labels"]["app.kubernetes.io/component"] for _, pod in pods(overlay)}
    known |= {"step_worker", "proxy"}  # the one like a run's, the other not in every overlay

    for each in of_kind(overlay, "NetworkPolicy"):
        selected = set(re.findall(r"component': '([\w-]+)'", str(each["spec"])))
        for values in re.findall(r"'values': \[([^]]*)\]", str(each["spec"])):
            selected |= set(re.findall(r"'([\w-]+)'", values))
        assert selected <= known, each["metadata"]["name"]


def component(name: str) -> dict[str, str]:
    return {"app.kubernetes.io/name": "runstart", "app.kubernetes.io/component": name}


def selects(selector: Object, labels: Mapping[str, str]) -> bool:
    """Whether a selector selects a pod of these labels."""
    wanted, expressions = selector.get("matchLabels", {}), selector.get("matchExpressions", ())
    assert all(each["operator"] == "In" for each in expressions)
    return wanted.items() <= labels.items() and all(
        labels.get(each["key"]) in each["values"] for each in expressions
    )
