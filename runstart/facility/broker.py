"""Two Kafka brokers: an embedded one that needs only pip, and Apache Kafka itself.

The embedded broker (noida-db) starts in a moment and is enough for a demonstration and for most tests; it keeps
little data and knows no retention. Apache Kafka (one KRaft node) is the judge: what holds there, holds.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runstart.errors import Alert, Transient
from runstart.facility.install import java_program
from runstart.facility.processes import LOOPBACK, Server, accepts_connections, dying_with_us, free_port

if TYPE_CHECKING:
    from concurrent.futures import Future

    from confluent_kafka.admin import AdminClient

_ADMIN_TIMEOUT_S = 20.0
_CLUSTER_ID = "UnVuc3RhcnQtY2x1c3Rlcg"


class Broker(Server):
    """A Kafka broker on loopback.

    Parameters
    ----------
    data_dir : Path
        Folder of the broker's data and log.
    start_timeout : float, optional
        Seconds that the broker may take until it answers.
    host : str, optional
        The address of this machine at which it listens.
    """

    def __init__(self, data_dir: Path, start_timeout: float = 60.0, host: str = LOOPBACK) -> None:
        super().__init__(data_dir, start_timeout)
        self.host = host
        self.port = free_port()

    @property
    def bootstrap_servers(self) -> str:
        """The address for clients, `host:port`; the same after a restart."""
        return f"{self.host}:{self.port}"

    def create_topic(self, name: str, partitions: int = 1, config: Mapping[str, str] | None = None) -> None:
        """Create a topic and wait until the broker serves all its partitions.

        Parameters
        ----------
        name : str
            The topic.
        partitions : int, optional
            Number of partitions.
        config : Mapping of str to str, optional
            Kafka's settings of the topic, such as `{"retention.ms": "1000"}`.

        Raises
        ------
        Alert
            If the topic exists or a setting is refused.
        Transient
            If the broker does not serve the topic in time.
        """
        from confluent_kafka.admin import NewTopic

        admin = self._admin()
        topic = NewTopic(name, num_partitions=partitions, replication_factor=1, config=dict(config or {}))
        future = admin.create_topics([topic], operation_timeout=_ADMIN_TIMEOUT_S)[name]
        self._finish(future, f"Topic {name}")
        self._wait_until_served(admin, name, partitions)

    def delete_topic(self, name: str) -> None:
        """Delete a topic and its data.

        Parameters
        ----------
        name : str
            The topic.

        Raises
        ------
        Alert
            If there is no such topic.
        """
        admin = self._admin()
        future = admin.delete_topics([name], operation_timeout=_ADMIN_TIMEOUT_S)[name]
        self._finish(future, f"Topic {name}")

    def delete_records(self, topic: str, partition: int, before_offset: int) -> None:
        """Drop the oldest messages of a partition, as retention does.

        Parameters
        ----------
        topic : str
            The topic.
        partition : int
            The partition.
        before_offset : int
            The first offset that stays.

        Raises
        ------
        Alert
            If the broker refuses or cannot.
        """
        from confluent_kafka import TopicPartition

        place = TopicPartition(topic, partition, before_offset)
        admin = self._admin()
        future = admin.delete_records([place], operation_timeout=_ADMIN_TIMEOUT_S)[place]
        self._finish(future, f"Deletion of records of {topic}")

    def _wait_until_served(self, admin: AdminClient, topic: str, partitions: int) -> None:
        from confluent_kafka import KafkaException, TopicPartition
        from confluent_kafka.admin import OffsetSpec

        wanted = {TopicPartition(topic, partition): OffsetSpec.latest() for partition in range(partitions)}
        deadline = time.monotonic() + _ADMIN_TIMEOUT_S
        while True:
            try:
                for future in admin.list_offsets(wanted).values():
                    future.result(_ADMIN_TIMEOUT_S)
            except KafkaException as error:
                if time.monotonic() > deadline:
                    raise Transient(f"{self.name} does not serve topic {topic}: {error.args[0].str()}") from error
                time.sleep(0.02)
            else:
                return

    def _admin(self) -> AdminClient:
        from confluent_kafka.admin import AdminClient

        return AdminClient({"bootstrap.servers": self.bootstrap_servers, "log_level": 0})

    @staticmethod
    def _finish(future: Future[Any], subject: str) -> None:
        from confluent_kafka import KafkaException

        try:
            future.result(_ADMIN_TIMEOUT_S)
        except KafkaException as error:
            raise Alert(f"{subject}: {error.args[0].str().rstrip('.')}.") from error

    def _is_ready(self) -> bool:
        from confluent_kafka import KafkaException

        if not accepts_connections(self.port, self.host):
            return False
        try:
            return bool(self._admin().list_topics(timeout=1.0).brokers)
        except KafkaException:
            return False


class EmbeddedBroker(Broker):
    """The broker of the demonstration and of the quick tests: noida-db, from the `demo` extra."""

    name = "embedded-broker"

    def _command(self) -> list[str]:
        address = ["--host", self.host, "--kafka-port", str(self.port)]
        return [_noida_program(), "start", "--only", "kafka", *address, "--data-dir", str(self.data_dir / "data")]


class ApacheKafka(Broker):
    """Apache Kafka 4 as one KRaft node: the broker of the real tier and of the benchmarks.

    Parameters
    ----------
    data_dir : Path
        Folder of the broker's data, settings and log.
    install_dir : Path
        What `runstart.facility.install.install_kafka` returned.
    start_timeout : float, optional
        Seconds that the broker may take until it answers.
    """

    name = "apache-kafka"

    def __init__(
        self, data_dir: Path, install_dir: Path, start_timeout: float = 90.0, host: str = LOOPBACK
    ) -> None:
        super().__init__(data_dir, start_timeout, host)
        self.install_dir = Path(install_dir)
        self._controller_port = free_port()

    def _prepare(self) -> None:
        settings = "".join(f"{key}={value}\n" for key, value in self._settings().items())
        self._settings_path.write_text(settings)
        if (self._log_dir / "meta.properties").exists():
            return
        command = [*self._java(), "kafka.tools.StorageTool", "format", "-t", _CLUSTER_ID]
        command += ["-c", str(self._settings_path), *self._format_options()]
        done = subprocess.run(dying_with_us(command), capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Alert(f"Apache Kafka could not format its storage:\n{(done.stdout + done.stderr)[-3000:]}")

    def _command(self) -> list[str]:
        return [*self._java(), "kafka.Kafka", str(self._settings_path)]

    @property
    def _settings_path(self) -> Path:
        return self.data_dir / "server.properties"

    @property
    def _log_dir(self) -> Path:
        return self.data_dir / "logs"

    def _java(self) -> list[str]:
        return [
            java_program(),
            "-Xms128m",
            "-Xmx512m",
            "-XX:+UseSerialGC",
            # Half the processor time to start; what a broker does then is mostly the kernel's work.
            "-XX:TieredStopAtLevel=1",
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
            "-cp",
            str(self.install_dir / "libs" / "*"),
        ]

    def _format_options(self) -> list[str]:
        """Return what else the storage is formatted with, such as users."""
        return []

    def _settings(self) -> dict[str, object]:
        """Return the broker's settings by Kafka's names."""
        return {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.voters": f"1@127.0.0.1:{self._controller_port}",
            "controller.listener.names": "CONTROLLER",
            "listeners": f"PLAINTEXT://{self.host}:{self.port},CONTROLLER://127.0.0.1:{self._controller_port}",
            "advertised.listeners": f"PLAINTEXT://{self.host}:{self.port}",
            "inter.broker.listener.name": "PLAINTEXT",
            "log.dirs": self._log_dir,
            "auto.create.topics.enable": "false",
            "num.partitions": 1,
            "offsets.topic.num.partitions": 1,
            "offsets.topic.replication.factor": 1,
            "transaction.state.log.num.partitions": 1,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "share.coordinator.state.topic.num.partitions": 1,
            "share.coordinator.state.topic.replication.factor": 1,
            "share.coordinator.state.topic.min.isr": 1,
            "group.initial.rebalance.delay.ms": 0,
            # After a kill the controller waits this long for the dead broker before it takes the new one.
            "broker.session.timeout.ms": 4000,
            "broker.heartbeat.interval.ms": 300,
            "log.retention.check.interval.ms": 1000,
            "log.initial.task.delay.ms": 1000,
            "log.segment.delete.delay.ms": 1000,
            "log.cleaner.dedupe.buffer.size": 2 * 1024 * 1024,
            "num.network.threads": 2,
            "num.io.threads": 2,
            "num.recovery.threads.per.data.dir": 1,
        }


def _noida_program() -> str:
    try:
        files = metadata.files("noida-db") or []
    except metadata.PackageNotFoundError as error:
        raise Alert("The embedded broker is not installed.", "pip install 'runstart[demo]'") from error
    for file in files:
        if file.name in ("noida-db", "noida-db.exe") and file.parent.name == "noida_db":
            return str(file.locate())
    raise Alert("The package noida-db has no program for this system.", "Use Apache Kafka instead.")
