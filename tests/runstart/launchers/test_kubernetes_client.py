"""What a cluster's answers mean, on a server that says what API servers say."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from runstart.errors import Alert, Transient
from runstart.launchers._cluster_client import (
    ClusterClient,
    ClusterFailed,
    ClusterRefused,
    NotThere,
    Stream,
    Taken,
    TooOld,
)
from runstart.launchers.failures import EngineUnreachable, RightMissing

WHO = "system:serviceaccount:runstart:runs"
FORBIDDEN = (
    f'pods is forbidden: User "{WHO}" cannot list resource "pods" in API group "" in the namespace "operators"'
)


class Answers:
    """What the server says to every request, and what it was asked."""

    status = 200
    body: bytes = b"{}"
    asked: str = ""
    is_cut = False


class Shut:
    """An answer that another thread shuts down: Python then hands out what is still encrypted."""

    def __init__(self) -> None:
        self.is_shut = False

    def stream(self) -> Iterator[bytes]:
        yield b'{"type": "ADDED"}\n'
        assert self.is_shut
        yield b'{"type": \xa2\x99\n'

    def shutdown(self) -> None:
        self.is_shut = True


@pytest.fixture
def answers() -> Answers:
    return Answers()


@pytest.fixture
def client(answers: Answers, tmp_path: Path) -> Iterator[ClusterClient]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answers.asked = f"{self.command} {self.path}"
            self.send_response(answers.status)
            self.send_header("Content-Length", str(len(answers.body) + (100 if answers.is_cut else 0)))
            self.end_headers()
            self.wfile.write(answers.body)
            self.close_connection = True

        do_DELETE = do_GET  # noqa: N815 - as the base class has it

        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    cluster = {"name": "c", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}
    context = {"name": "c", "context": {"cluster": "c", "user": "u"}}
    config = {
        "clusters": [cluster],
        "contexts": [context],
        "users": [{"name": "u", "user": {}}],
        "current-context": "c",
    }
    path = tmp_path / "kubeconfig"
    path.write_text(json.dumps(config))
    try:
        yield ClusterClient({"KUBECONFIG": str(path)}, "operators")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def said(message: str) -> bytes:
    return json.dumps({"kind": "Status", "message": message}).encode()


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (400, "no such field", ClusterRefused),
        (401, "Unauthorized", ClusterRefused),
        (403, FORBIDDEN, RightMissing),
        (403, "pods is forbidden: exceeded quota: full", ClusterFailed),
        (403, "the namespace is being terminated", ClusterRefused),
        (404, "not found", NotThere),
        (409, "already exists", Taken),
        (410, "too old resource version", TooOld),
        (422, "Invalid value", ClusterRefused),
        (429, "too many requests", ClusterFailed),
        (500, "etcd has no leader", ClusterFailed),
        (503, "the server is starting", EngineUnreachable),
    ],
)
def test_refusal_has_a_name(client: ClusterClient, answers: Answers, status: int, message: str, kind: type) -> None:
    answers.status, answers.body = status, said(message)
    with pytest.raises(kind) as caught:
        client.list("pods")
    assert isinstance(caught.value, Alert | Transient) == (kind not in (NotThere, Taken, TooOld))
    if kind is not RightMissing:
        assert message in str(caught.value)


def test_missing_right_is_told_with_the_account_that_lacks_it(client: ClusterClient, answers: Answers) -> None:
    answers.status, answers.body = 403, said(FORBIDDEN)
    with pytest.raises(RightMissing, match=f"does not let {WHO} list pods in the namespace operators"):
        client.list("pods")


def test_answer_that_is_no_status_is_shown(client: ClusterClient, answers: Answers) -> None:
    answers.status, answers.body = 500, b"a proxy's page"
    with pytest.raises(ClusterFailed, match="a proxy's page"):
        client.read("jobs", "task-1")


def test_what_is_gone_already_is_well(client: ClusterClient, answers: Answers) -> None:
    assert client.delete("jobs", "task-1")
    answers.status, answers.body = 404, said("not found")
    assert not client.delete("jobs", "task-1")
    assert answers.asked == "DELETE /apis/batch/v1/namespaces/operators/jobs/task-1"


@pytest.mark.parametrize(
    ("error", "kind"),
    [({"code": 410, "message": "expired"}, TooOld), ({"code": 500, "message": "no"}, ClusterFailed)],
)
def test_watch_ends_with_what_the_server_says(
    client: ClusterClient, answers: Answers, error: Any, kind: type
) -> None:
    events = [{"type": "ADDED", "object": {"metadata": {}}}, {"type": "ERROR", "object": error}]
    answers.body = b"".join(json.dumps(event).encode() + b"\n" for event in events)
    with client.watch("pods", labels="a=b", version="7", seconds=5.0) as stream:
        watched = stream.events()
        assert next(watched)["type"] == "ADDED"
        with pytest.raises(kind):
            next(watched)
    assert "resourceVersion=7" in answers.asked
    assert "labelSelector=a%3Db" in answers.asked


def test_stream_that_breaks_is_told_unless_it_was_closed_here(client: ClusterClient, answers: Answers) -> None:
    answers.body, answers.is_cut = b"half", True
    with client.follow_log("pod-1", "task", 10) as stream, pytest.raises(EngineUnreachable):
        list(stream.chunks())
    assert (
        answers.asked == "GET /api/v1/namespaces/operators/pods/pod-1/log?container=task&follow=true&tailLines=10"
    )
    with client.follow_log("pod-1", "task", 10) as stream:
        stream.close()
        assert b"".join(stream.chunks()) in (b"", b"half")


def test_configuration_that_is_none_is_told(tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text("{}")
    for environ in ({"KUBECONFIG": str(path)}, {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}):
        with pytest.raises(Alert, match="No cluster is known"):
            ClusterClient(environ, "operators").list("pods")


def test_what_comes_from_a_stream_after_its_end_is_not_read() -> None:
    stream = Stream(Shut(), "host")
    events = stream.events()

    assert next(events) == {"type": "ADDED"}
    stream.close()
    assert list(events) == []
