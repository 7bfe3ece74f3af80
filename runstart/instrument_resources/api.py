"""What the controller asks of the API server, and no more: each method needs one rule of its role.

The API server away, busy or being replaced is `Transient`; a right or an object that is missing is an `Alert`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from runstart.errors import Alert, Transient
from runstart.instrument_resources.names import (
    CONFIG_MAP,
    DEPLOYMENT,
    DIGEST_ANNOTATION,
    FIELD_MANAGER,
    GATEWAY,
    GROUP,
    PLURAL,
    VERSION,
)
from runstart.instrument_resources.resource import Resource

ANSWER_SECONDS = 10.0
WATCH_SECONDS = 60

_MERGE = "application/merge-patch+json"
_GONE = 410


class VersionGone(Exception):
    """The API server has no changes since that version any more; list anew."""


@dataclass(frozen=True)
class Change:
    """A change of a resource.

    Attributes
    ----------
    version : str
        From which on to watch next.
    kind : str
        `ADDED`, `MODIFIED`, `DELETED`, or `BOOKMARK` for a version alone.
    resource : Resource, optional
        None for a bookmark.
    """

    version: str
    kind: str
    resource: Resource | None = None


@dataclass(frozen=True)
class Rollout:
    """How far the code location has come.

    Attributes
    ----------
    digest : str
        Of the text that its pods are to read; empty if none was given to them yet.
    done : bool
        Whether the pods that read it serve, and no others.
    trouble : str
        Why it does not get on, as Kubernetes says; empty if it does.
    """

    digest: str
    done: bool
    trouble: str = ""


class ClusterApi:
    """The API server, for one namespace.

    Parameters
    ----------
    namespace : str
        Where the resources are.
    """

    def __init__(self, namespace: str) -> None:
        from kubernetes import client

        configuration = _configuration()
        configuration.retries = False  # the controller tries again itself, and says so
        connection = client.ApiClient(configuration)
        self.namespace = namespace
        self._custom = client.CustomObjectsApi(connection)
        self._core = client.CoreV1Api(connection)
        self._apps = client.AppsV1Api(connection)
        self._instruments = {"group": GROUP, "version": VERSION, "namespace": namespace, "plural": PLURAL}

    def list_resources(self) -> tuple[dict[str, Resource], str]:
        """Return all resources by uid, and the version from which on to watch them.

        Raises
        ------
        Transient
            If the API server does not answer.
        Alert
            If it does not know the resource, or refuses.
        """
        with _told("the Instrument resources"):
            found = self._custom.list_namespaced_custom_object(**self._instruments, _request_timeout=ANSWER_SECONDS)
        resources = [Resource.from_object(given) for given in found["items"]]
        return {resource.uid: resource for resource in resources}, found["metadata"]["resourceVersion"]

    def watch_resources(self, version: str) -> Iterator[Change]:
        """Yield changes since a version, for a minute at most.

        Raises
        ------
        VersionGone
            If the API server does not remember the version.
        Transient, Alert
            As `list_resources`.
        """
        from kubernetes import watch

        asked = {
            **self._instruments,
            "resource_version": version,
            "allow_watch_bookmarks": True,
            "timeout_seconds": WATCH_SECONDS,
            "_request_timeout": (ANSWER_SECONDS, WATCH_SECONDS + ANSWER_SECONDS),
        }
        with _told("the Instrument resources"):
            for event in watch.Watch().stream(self._custom.list_namespaced_custom_object, **asked):
                given = event["raw_object"]
                kind = event["type"]
                resource = None if kind == "BOOKMARK" else Resource.from_object(given)
                yield Change(given["metadata"]["resourceVersion"], kind, resource)

    def read_config_map(self) -> tuple[dict[str, str], str]:
        """Return the data of the config map `instruments`, and its version.

        Raises
        ------
        Transient, Alert
            As `list_resources`.
        """
        with _told(f"the config map {CONFIG_MAP}"):
            found = self._core.read_namespaced_config_map(
                CONFIG_MAP, self.namespace, _request_timeout=ANSWER_SECONDS
            )
        return dict(found.data or {}), found.metadata.resource_version

    def write_config_map(self, data: Mapping[str, str], version: str) -> None:
        """Replace the data of the config map, if it still has that version.

        Raises
        ------
        Transient
            If it was changed since, or as `list_resources`.
        Alert
            As `list_resources`.
        """
        body = {"metadata": {"resourceVersion": version}, "data": {**dict(data)}}
        with _told(f"the config map {CONFIG_MAP}"):
            self._core.patch_namespaced_config_map(
                CONFIG_MAP,
                self.namespace,
                body,
                field_manager=FIELD_MANAGER,
                _content_type=_MERGE,
                _request_timeout=ANSWER_SECONDS,
            )

    def read_rollout(self) -> Rollout:
        """Return how far the code location has come.

        Raises
        ------
        Transient, Alert
            As `list_resources`.
        """
        with _told(f"the deployment {DEPLOYMENT}"):
            found = self._apps.read_namespaced_deployment(
                DEPLOYMENT, self.namespace, _request_timeout=ANSWER_SECONDS
            )
        annotations = found.spec.template.metadata.annotations or {}
        wanted, status = found.spec.replicas, found.status
        updated, available = status.updated_replicas or 0, status.available_replicas or 0
        done = (
            status.observed_generation is not None
            and status.observed_generation >= found.metadata.generation
            and updated == available == (status.replicas or 0) == wanted
        )
        stuck = [c for c in status.conditions or () if c.type == "Progressing" and c.status == "False"]
        return Rollout(annotations.get(DIGEST_ANNOTATION, ""), done, stuck[0].message if stuck else "")

    def roll(self, digest: str) -> None:
        """Let new pods of the gateway and the code location read the config map; the old ones serve until these do.

        Raises
        ------
        Transient, Alert
            As `list_resources`.
        """
        # The code location is the last, since its digest says that all have been rolled.
        self._roll(GATEWAY, digest, may_be_missing=True)
        self._roll(DEPLOYMENT, digest)

    def write_status(self, resource: Resource, status: Mapping[str, Any]) -> bool:
        """Replace the fields of a resource's status; None removes one.

        Returns
        -------
        bool
            False if there is no such resource any more, or another one of its name.

        Raises
        ------
        Transient, Alert
            As `list_resources`.
        """
        from kubernetes.client import ApiException

        with _told(f"the status of the instrument {resource.resource_name}"):
            try:
                self._custom.patch_namespaced_custom_object_status(
                    **self._instruments,
                    name=resource.resource_name,
                    body={"metadata": {"uid": resource.uid}, "status": dict(status)},
                    field_manager=FIELD_MANAGER,
                    _content_type=_MERGE,
                    _request_timeout=ANSWER_SECONDS,
                )
            except ApiException as error:
                if error.status in (404, 409):
                    return False
                raise
        return True

    def _roll(self, deployment: str, digest: str, *, may_be_missing: bool = False) -> None:
        from kubernetes.client import ApiException

        body = {"spec": {"template": {"metadata": {"annotations": {DIGEST_ANNOTATION: digest}}}}}
        with _told(f"the deployment {deployment}"):
            try:
                self._apps.patch_namespaced_deployment(
                    deployment,
                    self.namespace,
                    body,
                    field_manager=FIELD_MANAGER,
                    _content_type=_MERGE,
                    _request_timeout=ANSWER_SECONDS,
                )
            except ApiException as error:
                if not (may_be_missing and error.status == 404):
                    raise


def _configuration() -> Any:
    """Return how the API server is reached: as a pod of the cluster, or as KUBECONFIG says."""
    from kubernetes import client, config

    configuration = client.Configuration()
    try:
        if "KUBERNETES_SERVICE_HOST" in os.environ and "KUBECONFIG" not in os.environ:
            config.load_incluster_config(configuration)
        else:
            # The client itself looks at the variable once, when it is imported.
            config.load_kube_config(os.environ.get("KUBECONFIG"), client_configuration=configuration)
    except config.ConfigException as error:
        raise Alert(
            f"No Kubernetes cluster is configured: {error}", "Run this in a pod, or set KUBECONFIG."
        ) from error
    return configuration


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Turn errors of the client into those that Runstart's users know."""
    from kubernetes.client import ApiException
    from urllib3.exceptions import HTTPError

    try:
        yield
    except ApiException as error:
        if error.status == _GONE:
            raise VersionGone from error
        reason = " ".join(str(error.reason).split())
        if error.status in (401, 403, 404):
            remedy = "Apply the manifests of this version (kubectl apply -k k8s/overlays/...)."
            raise Alert(f"The API server answers {error.status} ({reason}) for {what}.", remedy) from error
        if error.status in (0, 409, 429) or (error.status or 0) >= 500:
            raise Transient(f"The API server answers {error.status} ({reason}) for {what}") from error
        raise
    except (HTTPError, OSError, json.JSONDecodeError) as error:
        raise Transient(f"The API server does not answer for {what}: {type(error).__name__}: {error}") from error
