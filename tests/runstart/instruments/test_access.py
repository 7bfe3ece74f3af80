"""What may be declared of the access to a Kafka cluster, and that no secret can be."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from runstart.errors import Alert
from runstart.instruments import PLAINTEXT, Access, KafkaCluster, read_instruments

SASL = """
security_protocol = "SASL_SSL"
sasl_mechanism = "SCRAM-SHA-512"
username = "runstart"
"""
TEXT = """\
[kafka.default]
bootstrap_servers = "localhost:9092"
{access}

[instruments.TINY]
tof = {{ start_us = 0, stop_us = 100_000, bins = 10 }}
[[instruments.TINY.banks]]
name = "rear"
shape = [8, 8]
first_detector_id = 1
"""


def declared(folder: Path, access: str) -> KafkaCluster:
    path = folder / "instruments.toml"
    path.write_text(TEXT.format(access=access.strip()))
    return read_instruments(path, {}).clusters["default"]


def test_a_cluster_without_security_is_entered_by_plaintext(tmp_path: Path) -> None:
    assert declared(tmp_path, "").access == PLAINTEXT


def test_a_user_has_a_password_in_a_variable_named_after_the_cluster(tmp_path: Path) -> None:
    access = declared(tmp_path, SASL).access
    assert (access.username, access.password_variable) == ("runstart", "RUNSTART_KAFKA_DEFAULT_PASSWORD")
    assert (access.uses_sasl, access.uses_tls) == (True, True)
    named = declared(tmp_path, SASL + 'password_variable = "THE_SECRET"').access
    assert named.password_variable == "THE_SECRET"  # noqa: S105 - a variable's name


def test_files_are_found_beside_the_declaration(tmp_path: Path) -> None:
    access = declared(
        tmp_path, SASL + 'ca_file = "tls/ca.pem"\ncertificate_file = "/etc/c.pem"\nkey_file = "k.pem"'
    )
    files = (access.access.ca_file, access.access.certificate_file, access.access.key_file)
    assert files == (str(tmp_path / "tls" / "ca.pem"), "/etc/c.pem", str(tmp_path / "k.pem"))


@pytest.mark.parametrize(
    ("access", "told"),
    [
        ('security_protocol = "TLS"', "security_protocol: 'TLS' should be 'PLAINTEXT', 'SSL'"),
        (
            'sasl_mechanism = "PLAIN"',
            "sasl_mechanism: is not used with security_protocol PLAINTEXT; it goes with SASL",
        ),
        (
            'ca_file = "ca.pem"',
            "ca_file: is not used with security_protocol PLAINTEXT; it goes with SASL_SSL or SSL",
        ),
        ('security_protocol = "SSL"\nusername = "a"', "username: is not used with security_protocol SSL"),
        ('security_protocol = "SASL_PLAINTEXT"\nusername = "a"', "SASL_PLAINTEXT needs a sasl_mechanism: PLAIN"),
        ('security_protocol = "SASL_SSL"\nsasl_mechanism = "PLAIN"', "needs a username or a username_variable"),
        (SASL + 'username_variable = "A"', "username_variable: stands beside username"),
        (SASL + 'certificate_file = "c.pem"', "certificate_file and key_file need each other"),
        (SASL + 'key_password_variable = "A"', "key_password_variable needs a key_file"),
        (SASL + 'password_variables = "A"', "did you mean 'password_variable'?"),
        ('security_protocol = "SASL_SSL"\nsasl_mechanism = "GSSAPI"', "sasl_mechanism: 'GSSAPI' should be 'PLAIN'"),
    ],
)
def test_what_does_not_fit_together_is_told_with_file_and_line(tmp_path: Path, access: str, told: str) -> None:
    with pytest.raises(Alert, match=r"instruments.toml:\d+: kafka\.default") as error:
        declared(tmp_path, access)
    assert told in str(error.value)


@pytest.mark.parametrize(
    "line",
    [
        'password = "hunter2"',
        'sasl_password = "hunter2"',
        'key_password = "hunter2"',
        'password_variable = "hunter2"',
        'passwort = "hunter2"',
        'bootstrap_servers = "runstart:hunter2@localhost:9092"',
    ],
)
def test_a_secret_in_the_file_is_refused_and_not_repeated(tmp_path: Path, line: str) -> None:
    path = tmp_path / "instruments.toml"
    text = TEXT.format(access=SASL + line)
    if line.startswith("bootstrap"):
        text = text.replace('bootstrap_servers = "localhost:9092"\n', "")
    path.write_text(text)
    with pytest.raises(Alert) as error:
        read_instruments(path, {})
    chain: list[BaseException] = [error.value]
    while (below := chain[-1].__cause__ or chain[-1].__context__) is not None:
        chain.append(below)
    assert not any("hunter2" in str(one) or "hunter2" in repr(one) for one in chain)


def test_a_password_is_refused_with_the_place_where_it_belongs(tmp_path: Path) -> None:
    with pytest.raises(Alert, match=r"password does not belong into a file.*environment variable RUNSTART_KAFKA_"):
        declared(tmp_path, SASL + 'password = "hunter2"')


def test_an_access_cannot_hold_a_secret() -> None:
    with pytest.raises(ValidationError, match="does not belong into a file") as error:
        Access(password="hunter2")  # type: ignore[call-arg]  # noqa: S106
    assert "hunter2" not in str(error.value)
