"""A deployment whose Kafka wants a user over TLS: sensor and job enter it, and Dagster never learns the password."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from dagster_kit import DagsterFacility, small_instrument
from scripted_stream import PULSE_MS, check_against, make_messages, publish, recount

from runstart.facility import SecuredKafka

pytestmark = [pytest.mark.broker, pytest.mark.real]

STOP = 40 * PULSE_MS


def test_a_run_goes_from_its_announcement_to_its_result_over_sasl_and_tls(
    secured_broker: SecuredKafka,
    password: str,
    store_place: Callable[[], tuple[str, Mapping[str, str]]],
    new_name: Callable[[], str],
    tmp_path: Path,
) -> None:
    (tmp_path / "facility").mkdir()
    (tmp_path / "facility" / "ca.pem").write_bytes(secured_broker.certificates.ca_file.read_bytes())
    access = 'security_protocol = "SASL_SSL"\nsasl_mechanism = "SCRAM-SHA-512"\nusername = "reader"\nca_file = "ca.pem"\n'
    name, (store_url, environ) = new_name(), store_place()
    environ = {**environ, "RUNSTART_KAFKA_DEFAULT_PASSWORD": password}
    tables = access + small_instrument(name)
    folder, servers = tmp_path / "facility", secured_broker.sasl_servers
    with DagsterFacility(folder, tables, servers, store_url, environ) as facility:
        run = facility.new_run(name)
        topics, plaintext = run.instrument.topics, secured_broker.bootstrap_servers
        messages = make_messages(run, range(50), partitions=(0, 1))
        publish(plaintext, topics.run_info, [(run.start_payload(), 0)])
        publish(plaintext, topics.events, [(m.payload, m.partition) for m in messages], partitions=2)
        publish(plaintext, topics.run_info, [(run.stop_payload(run.start_ms + STOP), 0)])
        with facility.sensor() as tick:
            (request,) = tick().run_requests or ()
        assert request.partition_key is not None
        worker = facility.work(name, request.partition_key)
        worker.succeed()
        result = facility.result(name, request.partition_key)
        check_against(recount(run, messages, run.start_ms + STOP), result, facility.product(result))
        (dagster_run,) = facility.runs(name)
        events = facility.instance.all_logs(worker.order.run_id)
        shown = [str(dagster_run), str(dagster_run.run_config), *map(str, events)]
        assert not any(password in text for text in shown)
        files = [path for path in folder.rglob("*") if path.is_file() and path.name != "order.json"]
        assert [path for path in files if password.encode() in path.read_bytes()] == []
