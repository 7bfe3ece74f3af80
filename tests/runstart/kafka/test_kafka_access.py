"""The settings that an access becomes: complete, alike for both clients, and silent about secrets."""

from __future__ import annotations

import json
import ssl
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from hypothesis import given
from hypothesis import strategies as st

from runstart.errors import Alert
from runstart.facility import Certificates, make_certificates
from runstart.instruments import PLAINTEXT, Access
from runstart.kafka import confluent_settings, kafka_python_settings

BOTH = (confluent_settings, kafka_python_settings)
LOGIN: dict[str, Any] = {
    "security_protocol": "SASL_PLAINTEXT",
    "sasl_mechanism": "PLAIN",
    "username": "reader",
    "password_variable": "SECRET",
}


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


def test_without_security_nothing_but_the_protocol_is_set() -> None:
    assert confluent_settings(PLAINTEXT, {}) == {"security.protocol": "PLAINTEXT"}
    assert kafka_python_settings(PLAINTEXT, {}) == {"security_protocol": "PLAINTEXT"}


@given(st.text(min_size=1).filter(lambda text: "\0" not in text))
def test_a_password_reaches_both_clients_and_never_shows_itself(secret: str) -> None:
    environ = {"SECRET": f"pass-{secret}"}
    access = Access(**LOGIN)
    confluent, kafka_python = confluent_settings(access, environ), kafka_python_settings(access, environ)
    assert confluent["sasl.password"] == kafka_python["sasl_plain_password"] == environ["SECRET"]
    assert (confluent["sasl.username"], kafka_python["sasl_plain_username"]) == ("reader", "reader")
    assert not any("pass-" in repr(settings) or "pass-" in f"{settings}" for settings in (confluent, kafka_python))
    assert "pass-" not in f"{access!r} {access}"


def test_a_user_may_come_from_the_environment_too() -> None:
    access = Access(**{**LOGIN, "username": None, "username_variable": "WHO"})
    settings = confluent_settings(access, {"WHO": "me", "SECRET": "s"})
    assert (settings["sasl.username"], settings["sasl.password"]) == ("me", "s")


@pytest.mark.parametrize("settings", BOTH)
@pytest.mark.parametrize("environ", [{}, {"SECRET": ""}])
def test_a_variable_that_is_not_set_is_named(settings: Any, environ: dict[str, str]) -> None:
    with pytest.raises(Alert, match="environment variable SECRET is not set"):
        settings(Access(**LOGIN), environ)


def test_a_clients_certificate_reaches_both_clients(certificates: Certificates) -> None:
    access = Access(
        security_protocol="SSL",
        ca_file=str(certificates.ca_file),
        certificate_file=str(certificates.client_file),
        key_file=str(certificates.client_key_file),
    )
    assert confluent_settings(access, {}) == {
        "security.protocol": "SSL",
        "ssl.ca.location": str(certificates.ca_file),
        "ssl.certificate.location": str(certificates.client_file),
        "ssl.key.location": str(certificates.client_key_file),
    }
    context = kafka_python_settings(access, {})["ssl_context"]
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert [authority["subject"] for authority in context.get_ca_certs()] == [
        ((("commonName", "Runstart throw-away authority"),),)
    ]


def test_the_authorities_of_the_system_are_taken_unless_others_are_declared() -> None:
    access = Access(security_protocol="SSL")
    assert confluent_settings(access, {}) == {"security.protocol": "SSL"}
    assert kafka_python_settings(access, {})["ssl_context"].verify_mode is ssl.CERT_REQUIRED


@pytest.mark.parametrize("settings", BOTH)
def test_a_key_with_a_password_needs_it(settings: Any, certificates: Certificates, tmp_path: Path) -> None:
    locked = tmp_path / "locked.pem"
    key = serialization.load_pem_private_key(certificates.client_key_file.read_bytes(), None)
    kind = serialization.PrivateFormat.TraditionalOpenSSL
    locked.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, kind, serialization.BestAvailableEncryption(b"opensesame"))
    )
    files: dict[str, Any] = {
        "security_protocol": "SSL",
        "ca_file": str(certificates.ca_file),
        "certificate_file": str(certificates.client_file),
        "key_file": str(locked),
    }
    named = Access(**files, key_password_variable="KEY_SECRET")  # noqa: S106 - a variable's name
    shown = settings(named, {"KEY_SECRET": "opensesame"})
    assert "opensesame" not in repr(shown)
    with pytest.raises(Alert, match="KEY_SECRET is not set"):
        settings(named, {})
    with pytest.raises(Alert, match="cannot be used as a client's certificate") as error:
        settings(named, {"KEY_SECRET": "wrong-one"})
    assert "wrong-one" not in str(error.value)
    with pytest.raises(Alert, match="cannot be used as a client's certificate"):
        settings(Access(**files), {})


@pytest.mark.parametrize("settings", BOTH)
def test_files_that_are_no_use_are_named(settings: Any, certificates: Certificates, tmp_path: Path) -> None:
    text = tmp_path / "text.pem"
    text.write_text(json.dumps("no certificate"))
    with pytest.raises(Alert, match=r"/absent\.pem cannot be read \(No such file"):
        settings(Access(security_protocol="SSL", ca_file="/absent.pem"), {})
    with pytest.raises(Alert, match=r"text\.pem holds no certificates"):
        settings(Access(security_protocol="SSL", ca_file=str(text)), {})
    mixed = {"certificate_file": str(certificates.client_file), "key_file": str(text)}
    with pytest.raises(Alert, match="cannot be used as a client's certificate"):
        settings(Access(security_protocol="SSL", ca_file=str(certificates.ca_file), **mixed), {})  # type: ignore[arg-type]
