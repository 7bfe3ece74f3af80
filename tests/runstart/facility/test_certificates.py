"""Throw-away certificates: signed by their own authority, for loopback, and made once."""

from __future__ import annotations

import importlib.util
import socket
import ssl
import stat
import threading
from pathlib import Path

import pytest

from runstart.errors import Alert
from runstart.facility import Certificates, make_certificates


def shake_hands(server: Certificates, ca_file: Path, name: str) -> None:
    """Connect a client that trusts an authority to a server that demands a client's certificate."""
    listening = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(server.ca_file))
    listening.load_cert_chain(server.server_file)
    listening.verify_mode = ssl.CERT_REQUIRED
    calling = ssl.create_default_context(cafile=str(ca_file))
    calling.load_cert_chain(server.client_file, server.client_key_file)
    here, there = socket.socketpair()

    def answer() -> None:
        try:
            with listening.wrap_socket(there, server_side=True) as circuit:
                circuit.sendall(circuit.recv(1))
        except ssl.SSLError:
            there.close()  # the client has refused, and says so in its own words

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        with calling.wrap_socket(here, server_hostname=name) as circuit:
            circuit.sendall(b"x")
            assert circuit.recv(1) == b"x"
    finally:
        here.close()
        thread.join()


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_server_and_client_trust_each_other_by_their_authority(tmp_path: Path, name: str) -> None:
    made = make_certificates(tmp_path / "certificates")
    shake_hands(made, made.ca_file, name)


def test_another_name_and_another_authority_are_refused(tmp_path: Path) -> None:
    made, other = make_certificates(tmp_path / "one"), make_certificates(tmp_path / "other")
    for ca_file, name in ((made.ca_file, "example.org"), (other.ca_file, "localhost")):
        with pytest.raises(ssl.SSLCertVerificationError):
            shake_hands(made, ca_file, name)


def test_they_are_made_once(tmp_path: Path) -> None:
    made = make_certificates(tmp_path / "one")
    before = made.server_file.read_bytes()
    assert make_certificates(tmp_path / "one") == made
    assert made.server_file.read_bytes() == before


def test_keys_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    made = make_certificates(tmp_path / "certificates")
    for file in (made.client_key_file, made.server_file):
        assert stat.S_IMODE(file.stat().st_mode) & 0o077 == 0


def test_without_the_package_there_is_an_alert(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(Alert, match="cryptography"):
        make_certificates(tmp_path / "certificates")
