"""What is particular to the object store on S3: errors, and answers that were lost."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, suppress

import pytest

from runstart.errors import Alert, Transient
from runstart.facility import S3Server, free_port
from runstart.storage import ObjectMissing, ObjectStore, PreconditionFailed, S3Store

pytestmark = pytest.mark.store
BUCKET = "runstart-tests"


def _assert_every_call_raises(store: ObjectStore, kind: type[Exception], match: str) -> None:
    for call in (
        lambda: store.get("a"),
        lambda: store.put("a", b""),
        lambda: store.put_if_absent("a", b""),
        store.list,
    ):
        with pytest.raises(kind, match=match):
            call()


def test_a_missing_bucket_is_an_alert(s3_server: S3Server) -> None:
    with closing(s3_server.client()) as client:
        _assert_every_call_raises(S3Store(client, "no-such-bucket"), Alert, "no bucket 'no-such-bucket'")


def test_a_wrong_secret_is_an_alert(s3_server: S3Server) -> None:
    with closing(s3_server.client(aws_secret_access_key="0" * 40)) as client:
        store = S3Store(client, BUCKET)
        _assert_every_call_raises(store, Alert, "AWS_SECRET_ACCESS_KEY")
        with pytest.raises(Alert):
            store.head("a")


def test_an_unknown_key_id_is_an_alert(s3_server: S3Server) -> None:
    with closing(s3_server.client(aws_access_key_id="nobody")) as client:
        _assert_every_call_raises(S3Store(client, BUCKET), Alert, "AWS_ACCESS_KEY_ID")


def test_missing_credentials_are_an_alert(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    import boto3

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", f"{tmp_path}/none")
    monkeypatch.setenv("AWS_CONFIG_FILE", f"{tmp_path}/none")
    endpoint = f"http://127.0.0.1:{free_port()}"
    client = boto3.session.Session().client("s3", endpoint_url=endpoint, region_name="us-east-1")
    with closing(client), pytest.raises(Alert, match="no credentials"):
        S3Store(client, BUCKET).get("a")


def test_a_server_that_does_not_answer_is_transient(s3_server: S3Server) -> None:
    with closing(s3_server.client(endpoint_url=f"http://127.0.0.1:{free_port()}")) as client:
        store = S3Store(client, BUCKET)
        _assert_every_call_raises(store, Transient, "does not answer")
        for call in (store.head, store.delete):
            with pytest.raises(Transient):
                call("a")


@pytest.mark.parametrize(
    ("code", "status"), [("SlowDown", 503), ("InternalError", 500), ("TooManyRequests", 429), ("", 502)]
)
def test_a_busy_server_is_transient(s3_server: S3Server, code: str, status: int) -> None:
    from botocore.stub import Stubber

    with closing(s3_server.client()) as client, Stubber(client) as stubber:
        for method in ("get_object", "put_object", "put_object", "list_objects_v2"):
            stubber.add_client_error(method, code, http_status_code=status)
        store = S3Store(client, BUCKET)
        for call in (
            lambda: store.get("a"),
            lambda: store.put("a", b""),
            lambda: store.put_if_absent("a", b""),
            store.list,
        ):
            with pytest.raises(Transient, match="cannot serve"):
                call()


@pytest.mark.parametrize(("code", "status"), [("PreconditionFailed", 412), ("ConditionalRequestConflict", 409)])
def test_a_conflict_is_a_failed_precondition(s3_server: S3Server, code: str, status: int) -> None:
    from botocore.stub import Stubber

    with closing(s3_server.client()) as client, Stubber(client) as stubber:
        stubber.add_client_error("put_object", code, http_status_code=status)
        with pytest.raises(PreconditionFailed):
            S3Store(client, BUCKET).put_if_absent("a", b"")


def test_stores_with_other_prefixes_do_not_see_each_other(s3_server: S3Server, s3_store: S3Store) -> None:
    with closing(s3_server.client()) as client:
        outer, inner = (
            S3Store(client, BUCKET, s3_store.prefix + "p"),
            S3Store(client, BUCKET, s3_store.prefix + "p/q"),
        )
        sibling = S3Store(client, BUCKET, s3_store.prefix + "pq")
        inner.put("a", b"1")
        sibling.put("a", b"2")
        assert outer.list() == ["q/a"]
        assert inner.list() == ["a"]
        with pytest.raises(ObjectMissing):
            outer.get("a")


class _AnswerLost:
    """A relay before the server that passes each request on, and the first `lost` answers not back."""

    def __init__(self, target_port: int, lost: int) -> None:
        self._target_port = target_port
        self._lost = lost
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint_url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            with near, socket.create_connection(("127.0.0.1", self._target_port)) as far:
                near.settimeout(0.2)
                far.settimeout(0.2)
                self._relay(near, far)

    def _relay(self, near: socket.socket, far: socket.socket) -> None:
        answered = False
        while not answered:
            with suppress(TimeoutError):
                far.sendall(near.recv(65536))
            try:
                answer = far.recv(65536)
            except TimeoutError:
                continue
            if b" 100 Continue" not in answer[:40]:
                answered = True
                if self._lost:
                    self._lost -= 1
                    return
            near.sendall(answer)


@pytest.fixture
def relayed(s3_server: S3Server, s3_store: S3Store) -> Iterator[S3Store]:
    port = int(s3_server.endpoint_url.rpartition(":")[2])
    relay = _AnswerLost(port, lost=1)
    with closing(relay), closing(s3_server.client(endpoint_url=relay.endpoint_url)) as client:
        yield S3Store(client, BUCKET, s3_store.prefix.rstrip("/"))


@pytest.mark.faults
def test_our_own_put_if_absent_is_known_although_its_answer_was_lost(relayed: S3Store, s3_store: S3Store) -> None:
    etag = relayed.put_if_absent("lease", b"me")
    assert s3_store.get("lease").data == b"me"
    assert s3_store.head("lease") == etag


@pytest.mark.faults
def test_our_own_put_if_match_is_known_although_its_answer_was_lost(relayed: S3Store, s3_store: S3Store) -> None:
    old = s3_store.put("lease", b"before")
    assert relayed.put_if_match("lease", b"me", old) == s3_store.head("lease")
    assert s3_store.get("lease").data == b"me"


@pytest.mark.faults
def test_another_writers_object_is_refused_although_the_first_answer_was_lost(
    relayed: S3Store, s3_store: S3Store
) -> None:
    s3_store.put("lease", b"other")
    with pytest.raises(PreconditionFailed):
        relayed.put_if_absent("lease", b"me")
    assert s3_store.get("lease").data == b"other"
