"""The connection to a Kubernetes API server, and what its errors mean here.

A server that does not answer is `EngineUnreachable`, one that fails at what it was asked a `Transient`, one that refuses
it an `Alert`; a right that is missing is told with the account that lacks it. Objects are the API's own JSON. That
something is not there, or is there already, is an error of its own: it means something else at each call.
"""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from runstart.errors import Alert, Transient
from runstart.launchers.failures import EngineUnreachable, RightMissing

if TYPE_CHECKING:
    from kubernetes.client import ApiClient
    from kubernetes.client.exceptions import ApiException

Json = dict[str, Any]

_GROUPS = {
    "events": "/api/v1",
    "jobs": "/apis/batch/v1",
    "networkpolicies": "/apis/networking.k8s.io/v1",
    "pods": "/api/v1",
    "services": "/api/v1",
}
_METHODS = {"create": "POST", "get": "GET", "list": "GET", "watch": "GET", "patch": "PATCH", "delete": "DELETE"}
_CONNECT_S, _ANSWER_S = 5.0, 30.0
_WATCH_SLACK_S = 15.0
_NO_ACCOUNT, _FORBIDDEN, _MISSING, _CONFLICT, _GONE, _TOO_MANY = 401, 403, 404, 409, 410, 429
_ANY_PORT = 9
_AWAY = {0, 502, 503, 504}
_CANNOT = re.compile(r'User "(?P<account>[^"]*)" cannot (?P<verb>\w+) resource "(?P<resource>[^"]*)"')


class NotThere(Exception):
    """What was asked for does not exist."""


class Taken(Exception):
    """Something of this name exists."""


class TooOld(Exception):
    """What has changed since then is no longer known: list again."""


class ClusterRefused(Alert):
    """The cluster does not do what it was asked."""

    def __init__(self, said: str) -> None:
        super().__init__(f"The cluster refuses: {said}")
        self.said = said


class ClusterFailed(Transient):
    """The cluster could not do what it was asked."""

    def __init__(self, said: str) -> None:
        super().__init__(f"The cluster failed: {said}")
        self.said = said


class Stream(AbstractContextManager["Stream"]):
    """An answer that goes on until it is closed.

    Parameters
    ----------
    response : urllib3.HTTPResponse
        The open answer.
    host : str
        Of the API server, for errors.
    """

    def __init__(self, response: Any, host: str) -> None:
        self._response = response
        self._host = host
        self._is_closed = False

    def __exit__(self, *exception: object) -> None:
        self._response.close()
        self._response.release_conn()

    def chunks(self) -> Iterator[bytes]:
        """Yield what arrives, as it arrives.

        Raises
        ------
        EngineUnreachable
            The connection broke.
        """
        from urllib3.exceptions import HTTPError

        try:
            for chunk in self._response.stream():
                if self._is_closed:
                    return  # Python reads on from a connection that was shut down, without decrypting
                yield chunk
        except (HTTPError, OSError, ValueError) as problem:
            # A connection that another thread shuts down fails in each of these ways.
            if not self._is_closed:
                raise EngineUnreachable(self._host, str(problem)) from problem

    def events(self) -> Iterator[Json]:
        """Yield the events of a watch.

        Raises
        ------
        TooOld
            The watch began too long ago.
        ClusterFailed, EngineUnreachable
            It ended otherwise than by its time.
        """
        rest = b""
        for chunk in self.chunks():
            *lines, rest = (rest + chunk).split(b"\n")
            for event in map(json.loads, filter(None, lines)):
                if event["type"] == "ERROR":
                    said = event["object"]
                    raise TooOld if said.get("code") == _GONE else ClusterFailed(str(said.get("message")))
                yield event

    def close(self) -> None:
        """End it from another thread."""
        self._is_closed = True
        try:
            self._response.shutdown()
        except (OSError, ValueError):
            return  # it has ended


class ClusterClient:
    """A namespace of a cluster; the API server is asked for the first time at the first need.

    Parameters
    ----------
    environ : mapping of str to str
        `KUBECONFIG`; without it the service account of this pod, or the user's own configuration.
    namespace : str
        The namespace.
    """

    def __init__(self, environ: Mapping[str, str], namespace: str) -> None:
        self.namespace = namespace
        self._environ = environ
        self._lock = threading.Lock()
        self._client: ApiClient | None = None

    def create(self, resource: str, body: Json) -> Json:
        """Create an object, and return it as it was made.

        Raises
        ------
        Taken
            One has this name.
        """
        return self._ask("create", resource, body=body)

    def read(self, resource: str, name: str) -> Json:
        """Return an object.

        Raises
        ------
        NotThere
            There is none of this name.
        """
        return self._ask("get", resource, name)

    def list(self, resource: str, *, labels: str = "", fields: str = "") -> tuple[list[Json], str]:
        """Return the objects that selectors find, and the version from which a watch goes on."""
        found = self._ask("list", resource, query={"labelSelector": labels, "fieldSelector": fields})
        return found["items"], found["metadata"]["resourceVersion"]

    def patch(self, resource: str, name: str, body: Json) -> None:
        """Change fields of an object.

        Raises
        ------
        NotThere
            There is none of this name.
        """
        self._ask("patch", resource, name, body=body)

    def delete(self, resource: str, name: str, **options: Any) -> bool:
        """Have an object go, and return whether it was there; it may stay until its finalizers have run."""
        try:
            self._ask("delete", resource, name, body=options)
        except NotThere:
            return False
        return True

    def watch(self, resource: str, *, labels: str, version: str, seconds: float) -> Stream:
        """Return what changes from a version on; it ends by itself after so many seconds."""
        query = {
            "watch": "true",
            "labelSelector": labels,
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(max(1, round(seconds))),
        }
        response = self._open("watch", resource, query=query, read_s=seconds + _WATCH_SLACK_S)
        return Stream(response, self._host())

    def follow_log(self, pod: str, container: str, most_lines: int) -> Stream:
        """Return what a container has printed last, and prints until it ends."""
        query = {"container": container, "follow": "true", "tailLines": str(most_lines)}
        return Stream(self._open("get", "pods", f"{pod}/log", query=query, read_s=None), self._host())

    def read_log(self, pod: str, container: str, most_lines: int) -> bytes:
        """Return what a container has printed last."""
        query = {"container": container, "tailLines": str(most_lines)}
        with Stream(self._open("get", "pods", f"{pod}/log", query=query), self._host()) as stream:
            return b"".join(stream.chunks())

    def address_here(self) -> str:
        """Return the IPv4 address from which this process reaches the API server.

        Raises
        ------
        EngineUnreachable
            There is no way to it.
        """
        host = urlsplit(self._host()).hostname or ""
        try:
            # Nothing is sent: the system only chooses the way.
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
                probe.connect((host, _ANY_PORT))
                return str(probe.getsockname()[0])
        except OSError as problem:
            raise EngineUnreachable(self._host(), str(problem)) from problem

    def _ask(self, verb: str, resource: str, name: str = "", **rest: Any) -> Json:
        with Stream(self._open(verb, resource, name, **rest), self._host()) as stream:
            answer: Json = json.loads(b"".join(stream.chunks()))
        return answer

    def _open(
        self,
        verb: str,
        resource: str,
        name: str = "",
        *,
        query: Mapping[str, str] | None = None,
        body: Json | None = None,
        read_s: float | None = _ANSWER_S,
    ) -> Any:
        from kubernetes.client.exceptions import ApiException
        from urllib3.exceptions import HTTPError

        path = f"{_GROUPS[resource]}/namespaces/{self.namespace}/{resource}" + (f"/{name}" if name else "")
        media = "application/merge-patch+json" if verb == "patch" else "application/json"
        client = self._connect()
        headers = {"Accept": "application/json, */*", "Content-Type": media, **client.default_headers}
        # Not `call_api`, which fails itself at errors without an answer.
        client.update_params_for_auth(headers, [], ["BearerToken"])
        try:
            return client.rest_client.request(
                _METHODS[verb],
                f"{client.configuration.host}{path}",
                query_params=[(key, value) for key, value in (query or {}).items() if value],
                headers=headers,
                body=body,
                _preload_content=False,
                _request_timeout=(_CONNECT_S, read_s),
            )
        except ApiException as problem:
            raise self._named(problem) from problem
        except (HTTPError, OSError) as problem:
            raise EngineUnreachable(self._host(), str(problem)) from problem

    def _named(self, problem: ApiException) -> Exception:
        said = _message(problem)
        if problem.status in _AWAY:
            return EngineUnreachable(self._host(), said)
        if problem.status == _FORBIDDEN and (refused := _CANNOT.search(said)) is not None:
            return RightMissing(refused["account"], refused["verb"], refused["resource"], self.namespace)
        if problem.status == _MISSING:
            return NotThere(said)
        if problem.status == _CONFLICT:
            return Taken(said)
        if problem.status == _GONE:
            return TooOld(said)
        if problem.status == _NO_ACCOUNT:
            return ClusterRefused(f"it does not know who asks ({said}); renew the log-in in KUBECONFIG")
        # A quota is told as something that is forbidden, but room comes.
        is_passing = problem.status == _TOO_MANY or problem.status >= 500 or "exceeded quota" in said
        return ClusterFailed(said) if is_passing else ClusterRefused(said)

    def _host(self) -> str:
        return str(self._connect().configuration.host)

    def _connect(self) -> ApiClient:
        with self._lock:
            if self._client is None:
                self._client = _make_client(self._environ)
            return self._client


def _make_client(environ: Mapping[str, str]) -> ApiClient:
    from kubernetes import config
    from kubernetes.client import ApiClient, Configuration

    configuration = Configuration()
    try:
        if environ.get("KUBECONFIG"):
            config.load_kube_config(environ["KUBECONFIG"], client_configuration=configuration)
        elif environ.get("KUBERNETES_SERVICE_HOST"):
            config.load_incluster_config(configuration)
        else:
            config.load_kube_config(client_configuration=configuration)
    except (config.ConfigException, OSError) as problem:
        raise Alert(
            f"No cluster is known: {problem}",
            "Set KUBECONFIG to a file that says where the cluster is, or run in a pod with a service account.",
        ) from problem
    configuration.retries = False  # whoever asks knows whether to ask again
    # A server that has vanished must not be listened to for ever.
    configuration.socket_options = [
        (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
        *((socket.IPPROTO_TCP, getattr(socket, name), 20) for name in _KEEP_ALIVE if hasattr(socket, name)),
    ]
    return ApiClient(configuration)


_KEEP_ALIVE = ("TCP_KEEPIDLE", "TCP_KEEPINTVL")


def _message(problem: ApiException) -> str:
    """Return what the server said of an error, in words."""
    try:
        return str(json.loads(problem.body)["message"])
    except (TypeError, ValueError, KeyError):
        said = problem.body or problem.reason
        return said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
