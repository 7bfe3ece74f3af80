"""Throw-away certificates of servers on loopback: an authority, a server and a client.

They are worth nothing outside the folder that they are made in, and are valid for a day.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

from runstart.errors import Alert

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

_VALID = timedelta(days=1)
_CLOCKS_DIFFER = timedelta(minutes=5)


@dataclass(frozen=True)
class Certificates:
    """PEM files of an authority and of what it has signed.

    Attributes
    ----------
    ca_file : Path
        Certificate of the authority.
    server_file : Path
        Key and certificate of a server at 127.0.0.1 and localhost, in one file.
    client_file, client_key_file : Path
        Certificate of a client, and its key.
    """

    ca_file: Path
    server_file: Path
    client_file: Path
    client_key_file: Path


def make_certificates(folder: Path) -> Certificates:
    """Make an authority and certificates in a folder, unless they are there already.

    Parameters
    ----------
    folder : Path
        Made if missing.

    Returns
    -------
    Certificates

    Raises
    ------
    Alert
        If the package cryptography is not installed.
    """
    made = Certificates(*(folder / name for name in ("ca.pem", "server.pem", "client.pem", "client-key.pem")))
    if made.client_file.exists():
        return made
    if importlib.util.find_spec("cryptography") is None:
        raise Alert("Certificates need the package cryptography.", "pip install 'runstart[test]'")
    folder.mkdir(parents=True, exist_ok=True)
    authority = Authority.new("Runstart throw-away authority")
    made.ca_file.write_bytes(authority.pem)
    key, certificate = authority.sign("localhost", ("127.0.0.1", "localhost"))
    write_secret(made.server_file, key + certificate)
    key, certificate = authority.sign("runstart-client", ())
    write_secret(made.client_key_file, key)
    made.client_file.write_bytes(certificate)
    return made


class Authority:
    """An authority with its key, which is never written.

    Parameters
    ----------
    key : EllipticCurvePrivateKey
        Its own.
    certificate : x509.Certificate
        By which what it has signed is known.
    """

    def __init__(self, key: EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
        self.certificate = certificate
        self._key = key

    @property
    def pem(self) -> bytes:
        """Its certificate."""
        return _pem(self.certificate)

    @classmethod
    def new(cls, name: str) -> Authority:
        """Return a new authority.

        Parameters
        ----------
        name : str
            Its common name.
        """
        from cryptography import x509

        key = new_key()
        builder = _builder(name, name, key).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        usage = dict.fromkeys(
            (
                "digital_signature",
                "content_commitment",
                "key_encipherment",
                "data_encipherment",
                "key_agreement",
                "encipher_only",
                "decipher_only",
            ),
            False,
        )
        key_usage = x509.KeyUsage(**usage, key_cert_sign=True, crl_sign=True)
        return cls(key, _signed(builder.add_extension(key_usage, critical=True), key))

    def sign(self, name: str, hosts: tuple[str, ...], group: str = "") -> tuple[bytes, bytes]:
        """Return a new key and its certificate as PEM.

        Parameters
        ----------
        name : str
            Common name of whom it is for.
        hosts : tuple of str
            Addresses and names of a server; none for a client.
        group : str, optional
            Its organisation, which Kubernetes takes for a group of users.
        """
        from cryptography import x509

        key = new_key()
        issuer = self.certificate.subject.rfc4514_string().removeprefix("CN=")
        builder = _builder(name, issuer, key, group).add_extension(
            x509.BasicConstraints(ca=False, path_length=None), critical=True
        )
        if hosts:
            names = [x509.IPAddress(ip_address(h)) if h[0].isdigit() else x509.DNSName(h) for h in hosts]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        certificate = _signed(builder.add_extension(authority, critical=False), self._key)
        return key_pem(key), _pem(certificate)


def new_key() -> EllipticCurvePrivateKey:
    """Return a new private key on the curve P-256."""
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key: EllipticCurvePrivateKey) -> bytes:
    """Return a private key as PEM, not encrypted."""
    from cryptography.hazmat.primitives import serialization

    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def write_secret(path: Path, data: bytes) -> None:
    """Write a file that only its owner reads."""
    path.touch(mode=0o600)
    path.write_bytes(data)


def _builder(name: str, issuer: str, key: EllipticCurvePrivateKey, group: str = "") -> x509.CertificateBuilder:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    now = datetime.now(UTC)
    organisation = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group)] if group else []
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([*organisation, x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCKS_DIFFER)
        .not_valid_after(now + _VALID)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _signed(builder: x509.CertificateBuilder, key: EllipticCurvePrivateKey) -> x509.Certificate:
    from cryptography.hazmat.primitives import hashes

    return builder.sign(key, hashes.SHA256())


def _pem(certificate: x509.Certificate) -> bytes:
    from cryptography.hazmat.primitives import serialization

    return certificate.public_bytes(serialization.Encoding.PEM)
