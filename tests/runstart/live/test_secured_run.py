"""Live runs on Apache Kafka with SASL and TLS: the same result as without, and a clear word when it refuses."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from facility_kit import Beamline, in_background, result_of, stop_after, wait_until
from scripted_stream import make_messages, recount

from runstart.errors import Alert
from runstart.facility import SecuredKafka, make_certificates
from runstart.instruments import KafkaCluster
from runstart.kafka import EventLog, RunInfoLog
from runstart.live import Launch, Result, Sources, load_record, reduce_run
from runstart.live.run_starts import Cursor, RunStartSearch
from runstart.simulators import connect_publisher

pytestmark = [pytest.mark.broker, pytest.mark.real]
Make = Callable[..., Beamline]
Enter = Callable[..., KafkaCluster]


def search(beamline: Beamline, cluster: KafkaCluster) -> list[str]:
    """Return the partition keys that the sensor's search launches."""
    topics = [beamline.instrument.topics.run_info]
    with RunInfoLog(cluster.bootstrap_servers, topics, cluster.access) as log:
        found = RunStartSearch(log, [beamline.instrument], beamline.store).search(Cursor(), 10.0)
    return [run.partition_key for run in found.runs if run.launch]


def launch(beamline: Beamline, cluster: KafkaCluster, key: str, root: str) -> Future[Result]:
    record = load_record(beamline.store, beamline.instrument.name, key)
    sources = Sources(cluster.bootstrap_servers, beamline.instrument, record, cluster.access)
    return in_background(lambda: reduce_run(beamline.store, sources, Launch(f"{root}-1", root), beamline.notebook))


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN", None])
def test_a_run_is_found_and_counted_as_without_security(
    make: Make,
    secured_broker: SecuredKafka,
    enter: Enter,
    password: str,
    mechanism: str | None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, logger="kafka")
    certificates = secured_broker.certificates
    by_certificate = {
        "bootstrap_servers": secured_broker.tls_servers,
        "security_protocol": "SSL",
        "username": None,
        "certificate_file": str(certificates.client_file),
        "key_file": str(certificates.client_key_file),
    }
    cluster = enter(sasl_mechanism=mechanism, **({} if mechanism else by_certificate))
    beamline = make(on=secured_broker, partitions=3)
    messages = make_messages(beamline.run, range(-5, 60), partitions=(0, 1, 0, 2))
    (key,) = search(beamline, cluster)
    live = launch(beamline, cluster, key, "secured")
    beamline.write(messages)
    beamline.stop(stop_after(beamline, 50))
    secured = result_of(live)
    beamline.check(secured, recount(beamline.run, messages, stop_after(beamline, 50)))
    plaintext = result_of(beamline.launch("plaintext"))
    assert (plaintext.ledger, plaintext.digest) == (secured.ledger, secured.digest)
    assert password not in caplog.text
    assert not any(password in remark for remark in beamline.notebook.remarks)


def connect(client: str, cluster: KafkaCluster) -> None:
    """Ask the cluster something with one of the clients."""
    if client == "events":
        with EventLog(cluster.bootstrap_servers, "events", cluster.access) as log:
            log.partitions()
    elif client == "run_info":
        RunInfoLog(cluster.bootstrap_servers, ["info"], cluster.access).close()
    else:
        with connect_publisher(cluster.bootstrap_servers, {"events": 1}, cluster.access):
            pass


def untrusted(folder: Path) -> str:
    return str(make_certificates(folder / "others").ca_file)


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("password", "refused the user 'reader'.*RUNSTART_KAFKA_SECURED_PASSWORD"),
        ("user", "refused the user 'nobody'"),
        ("mechanism", "refused the user 'reader'"),
        ("authority", "No TLS connection.*certificate verify failed.*ca_file"),
        ("certificate", "No TLS connection.*bad certificate.*certificate_file"),
        ("protocol", "No TLS connection.*PLAINTEXT broker listener.*security_protocol"),
        ("variable", "environment variable RUNSTART_KAFKA_SECURED_PASSWORD is not set"),
    ],
)
@pytest.mark.parametrize("client", ["events", "run_info", "publisher"])
def test_a_refusal_is_an_alert_that_names_what_to_check(
    secured_broker: SecuredKafka,
    enter: Enter,
    password: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    fault: str,
    told: str,
    client: str,
) -> None:
    if fault == "password":
        monkeypatch.setenv("RUNSTART_KAFKA_SECURED_PASSWORD", "another1")
    elif fault == "variable":
        monkeypatch.delenv("RUNSTART_KAFKA_SECURED_PASSWORD")
    changes: dict[str, dict[str, Any]] = {
        "user": {"username": "nobody"},
        "mechanism": {"sasl_mechanism": "PLAIN", "password_variable": "HOME"},
        "authority": {"ca_file": untrusted(tmp_path)},
        "certificate": {
            "bootstrap_servers": secured_broker.tls_servers,
            "security_protocol": "SSL",
            "sasl_mechanism": None,
            "username": None,
        },
        "protocol": {"bootstrap_servers": secured_broker.bootstrap_servers},
    }
    cluster = enter(**changes.get(fault, {}))
    with pytest.raises(Alert) as error:
        connect(client, cluster)
    error.match(told)
    assert password not in str(error.value)
    assert "another1" not in str(error.value)


def test_a_run_without_the_right_password_ends_with_the_reason_and_goes_on_with_it(
    make: Make, secured_broker: SecuredKafka, enter: Enter, monkeypatch: pytest.MonkeyPatch, password: str
) -> None:
    beamline, cluster = make(on=secured_broker), enter()
    (key,) = search(beamline, cluster)
    messages = make_messages(beamline.run, range(30))
    beamline.write(messages)
    beamline.stop(stop_after(beamline, 20))
    monkeypatch.setenv("RUNSTART_KAFKA_SECURED_PASSWORD", "another1")
    with pytest.raises(Alert, match="refused the user 'reader'"):
        launch(beamline, cluster, key, "root").result(60)
    monkeypatch.setenv("RUNSTART_KAFKA_SECURED_PASSWORD", password)
    result = result_of(launch(beamline, cluster, key, "root"))
    beamline.check(result, recount(beamline.run, messages, stop_after(beamline, 20)))


def test_a_connection_that_is_refused_later_is_given_time_and_then_ends_with_the_reason(
    secured_broker: SecuredKafka,
    enter: Enter,
    password: str,
    monkeypatch: pytest.MonkeyPatch,
    topic_name: Callable[[str], str],
) -> None:
    from confluent_kafka import KafkaError

    monkeypatch.setattr("runstart.kafka.refusal.PATIENCE_SECONDS", 0.5)
    topic, cluster = topic_name("events"), enter()
    secured_broker.create_topic(topic)
    refused = KafkaError(
        KafkaError._AUTHENTICATION, "sasl_ssl://h:1/1: no longer welcome (after 3ms in state AUTH_REQ)"
    )
    with EventLog(cluster.bootstrap_servers, topic, cluster.access) as log:
        assert log.partitions() == [0]
        log.seek({0: 0})
        for _ in range(2):
            log._refusals.hear(refused)
        log.read(10, 0.1)
        assert log.trouble == f"Kafka at {cluster.bootstrap_servers} refused the user 'reader': no longer welcome."

        def read_on() -> bool:
            log.read(10, 0.1)
            return False

        with pytest.raises(Alert, match="no longer welcome"):
            wait_until(read_on)


def test_a_file_is_replayed_over_sasl_and_tls(
    tmp_path: Path, secured_broker: SecuredKafka, password: str, enter: Enter, monkeypatch: pytest.MonkeyPatch
) -> None:
    import h5py
    from typer.testing import CliRunner

    from runstart.cli import app

    with h5py.File(tmp_path / "tiny.nxs", "w") as file:
        file["entry/name"] = [b"SECURE"]
        file["entry/start_time"] = [b"2020-01-01T00:00:00"]
        events = file.create_group("entry/bank_events")
        events["event_id"] = [1, 2, 3]
        events["event_time_offset"] = [1.0, 2.0, 3.0]
        events["event_index"] = [0, 2]
        events["event_time_zero"] = [1.0, 1.1]
    (tmp_path / "ca.pem").write_bytes(secured_broker.certificates.ca_file.read_bytes())
    (tmp_path / "instruments.toml").write_text(
        f"""\
[kafka.secured]
bootstrap_servers = "{secured_broker.sasl_servers}"
security_protocol = "SASL_SSL"
sasl_mechanism = "SCRAM-SHA-512"
username = "reader"
ca_file = "ca.pem"

[instruments.SECURE]
kafka = "secured"
tof = {{ start_us = 0, stop_us = 100_000, bins = 10 }}
[[instruments.SECURE.banks]]
name = "rear"
shape = [8]
first_detector_id = 1
"""
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RUNSTART_KAFKA", raising=False)
    done = CliRunner().invoke(app, ["replay", "tiny.nxs", "--at-once"])
    assert done.exit_code == 0, done.output
    assert "3 events of 2 pulses" in done.output
    cluster = enter()
    with EventLog(cluster.bootstrap_servers, "SECURE_events", cluster.access) as log:
        assert log.watermarks(0) == (0, 2)
    monkeypatch.delenv("RUNSTART_KAFKA_SECURED_PASSWORD")
    failed = CliRunner().invoke(app, ["replay", "tiny.nxs", "--at-once"])
    assert failed.exit_code == 1
    assert "RUNSTART_KAFKA_SECURED_PASSWORD is not set" in failed.output
