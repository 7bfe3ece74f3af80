"""Apache Kafka as facilities secure it: users with passwords over TLS, or certificates on both sides.

The listener without security stays, for the broker itself and for whoever starts it. Users and certificates are
throw-away ones of a broker on loopback; their passwords lie in its folder.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from runstart.facility.broker import ApacheKafka
from runstart.facility.certificates import Certificates, make_certificates
from runstart.facility.processes import free_port

_SCRAM = ("SCRAM-SHA-256", "SCRAM-SHA-512")
_PLAIN_LOGIN = "org.apache.kafka.common.security.plain.PlainLoginModule"
_SCRAM_LOGIN = "org.apache.kafka.common.security.scram.ScramLoginModule"


class SecuredKafka(ApacheKafka):
    """Apache Kafka with three listeners: PLAINTEXT, SASL_SSL, and SSL with a certificate of the client.

    Parameters
    ----------
    data_dir : Path
        Folder of the broker's data, settings, certificates and log.
    install_dir : Path
        What `runstart.facility.install.install_kafka` returned.
    users : Mapping of str to str
        Password of each user, for PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512; letters and digits.
    start_timeout : float, optional
        Seconds that the broker may take until it answers.
    """

    name = "secured-kafka"

    def __init__(
        self, data_dir: Path, install_dir: Path, users: Mapping[str, str], start_timeout: float = 90.0
    ) -> None:
        super().__init__(data_dir, install_dir, start_timeout)
        self._users = dict(users)
        self._sasl_port, self._tls_port = free_port(), free_port()

    @property
    def sasl_servers(self) -> str:
        """Address of the SASL_SSL listener, `host:port`."""
        return f"127.0.0.1:{self._sasl_port}"

    @property
    def tls_servers(self) -> str:
        """Address of the SSL listener, `host:port`, which demands a certificate of the client."""
        return f"127.0.0.1:{self._tls_port}"

    @property
    def certificates(self) -> Certificates:
        """The authority, and the certificates that it signed."""
        return make_certificates(self.data_dir / "certificates")

    def _format_options(self) -> list[str]:
        options = []
        for mechanism in _SCRAM:
            for user, password in self._users.items():
                options += ["--add-scram", f"{mechanism}=[name={user},password={password}]"]
        return options

    def _settings(self) -> dict[str, object]:
        settings = super()._settings()
        sasl, tls = f"SASL_SSL://{self.sasl_servers}", f"SSL://{self.tls_servers}"
        users = " ".join(f'user_{user}="{password}"' for user, password in self._users.items())
        listener = "listener.name.sasl_ssl"
        return settings | {
            "listeners": f"{settings['listeners']},{sasl},{tls}",
            "advertised.listeners": f"{settings['advertised.listeners']},{sasl},{tls}",
            "listener.security.protocol.map": (
                "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL,SSL:SSL"
            ),
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": self.certificates.server_file,
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": self.certificates.ca_file,
            "listener.name.ssl.ssl.client.auth": "required",
            "sasl.enabled.mechanisms": ",".join(("PLAIN", *_SCRAM)),
            f"{listener}.plain.sasl.jaas.config": f"{_PLAIN_LOGIN} required {users};",
            **{f"{listener}.{m.lower()}.sasl.jaas.config": f"{_SCRAM_LOGIN} required;" for m in _SCRAM},
        }
