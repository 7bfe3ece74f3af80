from __future__ import annotations

import configparser
import os
from pathlib import Path

import pytest

from runstart.errors import Alert
from runstart.facility.pip_settings import read_pip_settings

AT = "/run/secrets/certificates"


@pytest.fixture(autouse=True)
def _only_ours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Leave pip one file of settings, and none of this machine's environment."""
    for name in list(os.environ):
        if name.startswith("PIP_") or name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    (tmp_path / "authorities.pem").write_text("-")
    (tmp_path / "pip.conf").write_text(
        f"[global]\nindex-url = https://a.example/simple\ncert = {tmp_path}/authorities.pem\nno-color = yes\n"
        "[install]\nextra-index-url =\n  https://b.example/1\n  https://b.example/2\n"
    )


def sections() -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser()
    parser.read_string(read_pip_settings(AT).text)
    return parser


def test_where_packages_are_and_whom_to_trust_is_handed_on(tmp_path: Path) -> None:
    found = sections()
    assert found["global"]["index-url"] == "https://a.example/simple"
    assert found["install"]["extra-index-url"].split() == ["https://b.example/1", "https://b.example/2"]
    assert found["global"]["cert"] == AT
    assert read_pip_settings(AT).certificates == tmp_path / "authorities.pem"


def test_what_is_this_machines_own_business_is_not() -> None:
    assert "no-color" not in sections()["global"]


def test_the_environment_has_the_last_word(monkeypatch: pytest.MonkeyPatch) -> None:
    # pip itself reads [install] over [global], wherever it was set.
    monkeypatch.setenv("PIP_INDEX_URL", "https://c.example/100%25")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "https://d.example")
    found = sections()
    assert found["install"]["index-url"] == "https://c.example/100%25"
    assert found["install"]["extra-index-url"] == "https://d.example"


def test_certificates_that_are_missing_are_an_alert(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_CERT", "/nowhere/authorities.pem")
    with pytest.raises(Alert, match=r"/nowhere/authorities\.pem, are missing"):
        read_pip_settings(AT)
