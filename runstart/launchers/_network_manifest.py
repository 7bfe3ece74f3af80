"""How a network is told to a cluster: a headless service, which names its tasks, and a policy, which cuts off all others.

A policy is enforced by the cluster's network plugin; there are some that enforce none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from runstart.launchers._job_manifest import ABOUT, NETWORK, label_selection

OURS = {"runstart": "network"}
"""The label of every network of ours."""

_DNS = {
    "to": [
        {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
            "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
        }
    ],
    "ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}],
}


def service_of(name: str, labels: Mapping[str, str]) -> dict[str, Any]:
    """Return the service by which the tasks of a network find each other."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(name, labels),
        "spec": {"clusterIP": "None", "publishNotReadyAddresses": True, "selector": {NETWORK: name}},
    }


def policy_of(name: str, labels: Mapping[str, str], service: Mapping[str, Any]) -> dict[str, Any]:
    """Return the policy by which the tasks of a network reach each other and the cluster's names, and nothing else.

    Parameters
    ----------
    name : str
        Of the network.
    labels : mapping of str to str
        Of the network.
    service : mapping
        The network's service as it was made; the policy goes with it.
    """
    owner = {"apiVersion": "v1", "kind": "Service", "name": name, "uid": service["metadata"]["uid"]}
    members = {"podSelector": {"matchLabels": {NETWORK: name}}}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {**_metadata(name, labels), "ownerReferences": [owner]},
        "spec": {
            **members,
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"from": [members]}],
            "egress": [{"to": [members]}, _DNS],
        },
    }


def labels_of_network(service: Mapping[str, Any]) -> dict[str, str]:
    """Return the labels with which a network was made."""
    labels: dict[str, str] = json.loads(service["metadata"].get("annotations", {}).get(ABOUT, "{}"))
    return labels


def _metadata(name: str, labels: Mapping[str, str]) -> dict[str, Any]:
    return {
        "name": name,
        "labels": {**label_selection(labels), **OURS},
        "annotations": {ABOUT: json.dumps(dict(labels))},
    }
