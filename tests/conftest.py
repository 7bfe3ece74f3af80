"""Fixtures of all tests: real servers, started once and only when a test asks for them.

Without options a test gets the embedded broker and a store in a folder. With `--real` the same test gets Apache
Kafka and a store on a real S3 server, and the tests marked `real` run too; with `--k8s`, those marked `k8s`.
"""

from __future__ import annotations

import itertools
import os
import secrets
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest
from waiting import PATIENCE

if TYPE_CHECKING:
    from runstart.facility import Broker, Podman, S3Server, SecuredKafka
    from runstart.facility.cluster import RunningCluster
    from runstart.instruments import KafkaCluster
    from runstart.storage import FileStore, ObjectStore, S3Store

BUCKET = "runstart-tests"
USER, PASSWORD = "reader", f"pass{secrets.token_hex(8)}"
PASSWORD_VARIABLE = "RUNSTART_KAFKA_SECURED_PASSWORD"  # noqa: S105 - a variable's name
_serial = itertools.count()

# Wherever they are imported first.
pytest.register_assert_rewrite("launcher_bench", "launcher_contract")

# Tests hold correctness, never time: a busy machine must not fail one. pytest-timeout ends what hangs.
hypothesis.settings.register_profile("runstart", deadline=None)
hypothesis.settings.load_profile("runstart")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--real", action="store_true", help="test on Apache Kafka and on a real S3 server")
    parser.addoption("--k8s", action="store_true", help="test on a real Kubernetes too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for option, marker in (("--real", "real"), ("--k8s", "k8s")):
        if config.getoption(option):
            continue
        left_out = [item for item in items if item.get_closest_marker(marker)]
        if left_out:
            config.hook.pytest_deselected(items=left_out)
            items[:] = [item for item in items if item not in left_out]
    if "PYTEST_XDIST_WORKER" in os.environ:
        _put_longest_first(items, float(config.getini("timeout")))


def _put_longest_first(items: list[pytest.Item], default: float) -> None:
    """Begin with the files whose tests may take longest, so that no worker is left with one of them at the end."""
    longest: dict[Path, float] = {}
    for item in items:
        marker = item.get_closest_marker("timeout")
        allowed = marker.args[0] if marker else default
        longest[item.path] = max(longest.get(item.path, 0.0), allowed)
        item.add_marker(pytest.mark.timeout(allowed * PATIENCE), append=False)
    items.sort(key=lambda item: -longest[item.path])


def _broker(config: pytest.Config, data_dir: Path) -> Broker:
    from runstart.facility import ApacheKafka, EmbeddedBroker, install_kafka

    if config.getoption("--real"):
        return ApacheKafka(data_dir, install_kafka())
    return EmbeddedBroker(data_dir)


@pytest.fixture(scope="session")
def broker(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """The broker that the tests share: leave it running."""
    with _broker(pytestconfig, tmp_path_factory.mktemp("broker")) as server:
        yield server


@pytest.fixture
def own_broker(pytestconfig: pytest.Config, tmp_path: Path) -> Iterator[Broker]:
    """A broker for one test, which may stop or kill it."""
    with _broker(pytestconfig, tmp_path / "broker") as server:
        yield server


@pytest.fixture(scope="session")
def secured_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredKafka]:
    """Apache Kafka with a user and certificates, for tests marked `real`: leave it running."""
    from runstart.facility import SecuredKafka, install_kafka

    with SecuredKafka(tmp_path_factory.mktemp("secured"), install_kafka(), {USER: PASSWORD}) as server:
        yield server


@pytest.fixture
def password(monkeypatch: pytest.MonkeyPatch) -> str:
    """The password of the secured broker's user, in the environment too."""
    monkeypatch.setenv(PASSWORD_VARIABLE, PASSWORD)
    return PASSWORD


@pytest.fixture
def enter(secured_broker: SecuredKafka) -> Callable[..., KafkaCluster]:
    """Gives the secured broker as a declared cluster: by user and password, or as the keywords say."""
    from runstart.instruments import KafkaCluster

    def declare(**changes: str | None) -> KafkaCluster:
        fields: dict[str, str | None] = {
            "bootstrap_servers": secured_broker.sasl_servers,
            "security_protocol": "SASL_SSL",
            "sasl_mechanism": "SCRAM-SHA-512",
            "username": USER,
            "ca_file": str(secured_broker.certificates.ca_file),
        }
        given = {name: value for name, value in (fields | changes).items() if value is not None}
        return KafkaCluster(name="secured", **given)  # type: ignore[arg-type]

    return declare


@pytest.fixture
def topic_name() -> Callable[[str], str]:
    """Gives topics names that no other test uses."""
    return lambda base: f"{base}_{secrets.token_hex(4)}_{next(_serial)}"


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """The S3 server that the tests share: leave it running."""
    from runstart.facility import S3Server

    with S3Server(tmp_path_factory.mktemp("s3")) as server:
        server.create_bucket(BUCKET)
        yield server


@pytest.fixture(scope="session")
def podman(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Podman]:
    """A container engine with the host's image, for tests marked `real`: leave it running, and nothing in it."""
    from docker import APIClient

    from runstart.facility import Podman, make_host_image

    if os.geteuid() != 0:
        pytest.skip("Podman is started for the superuser only")
    with Podman(tmp_path_factory.mktemp("podman")) as engine:
        client = APIClient(engine.url, version="auto")
        make_host_image(client)
        client.close()
        yield engine


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCluster]:
    """A real Kubernetes, for tests marked `k8s`: leave it running, and nothing in it.

    While tests are written, `RUNSTART_TEST_CLUSTER` names the folder of one that runs already.
    """
    from runstart.facility.cluster import Cluster, RunningCluster

    if running := os.environ.get("RUNSTART_TEST_CLUSTER"):
        yield RunningCluster(Path(running))
        return
    with Cluster(tmp_path_factory.mktemp("kubernetes") / "data") as started:
        yield started


@pytest.fixture
def s3_store(s3_server: S3Server) -> Iterator[S3Store]:
    """An empty store on the S3 server."""
    from runstart.storage import S3Store

    client = s3_server.client()
    yield S3Store(client, BUCKET, f"test-{secrets.token_hex(4)}-{next(_serial)}")
    client.close()


@pytest.fixture
def file_store(tmp_path: Path) -> FileStore:
    """An empty store in a folder."""
    from runstart.storage import FileStore

    return FileStore(tmp_path / "store")


@pytest.fixture
def store(request: pytest.FixtureRequest, pytestconfig: pytest.Config) -> ObjectStore:
    """An empty store: in a folder, or with `--real` on the S3 server."""
    return request.getfixturevalue("s3_store" if pytestconfig.getoption("--real") else "file_store")


@pytest.fixture(autouse=True)
def _sigterm_ends_what_a_test_starts() -> None:
    """Undo what an earlier test's libraries did: a child inherits an ignored signal, and would not end."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
