"""Tells a broker that refuses from one that is away.

Both clients go on trying in silence when a password or a certificate is refused. librdkafka at least tells why,
through its error callback; that is listened to here. What is refused becomes an `Alert`, since no waiting mends
it; a client that was let in before is given `PATIENCE_SECONDS`, because brokers that restart refuse for a moment.
"""

from __future__ import annotations

import re
import time

from confluent_kafka import Consumer, KafkaError, KafkaException

from runstart.errors import Alert
from runstart.instruments import Access
from runstart.kafka.access import confluent_settings

PATIENCE_SECONDS = 300.0
_STANDING_SECONDS = 90.0  # librdkafka tells the same error again every 30 s at the latest
_ASK_SECONDS = 4.0
_TLS_MARKS = ("SSL alert", "certificate verify failed", "PLAINTEXT broker listener")
_REPEATS = 2  # a broker that goes down in the middle of a handshake refuses once
# librdkafka's name of the broker before its words, and after them its timing and advice in its own settings' names.
_AROUND = re.compile(r"^\w+://\S+: | \(after \d+ms in state [A-Z_]+.*\)$|: broker certificate could not be .*$")


class Refusals:
    """What the brokers refuse to one client.

    Parameters
    ----------
    bootstrap_servers : str
        The cluster, for the text.
    access : Access
        How the client enters it.
    """

    def __init__(self, bootstrap_servers: str, access: Access) -> None:
        self._servers = bootstrap_servers
        self._access = access
        self._alert: Alert | None = None
        self._since = self._heard = -_STANDING_SECONDS - 1.0
        self._times = 0

    def hear(self, error: KafkaError) -> None:
        """Take an error from librdkafka's `error_cb`; what is no refusal is left to the client."""
        alert = self._understand(error)
        if alert is None:
            return
        now = time.monotonic()
        if now - self._heard > _STANDING_SECONDS:
            self._since, self._times = now, 0
        self._heard, self._alert, self._times = now, alert, self._times + 1

    @property
    def standing(self) -> Alert | None:
        """What is refused now; None if nothing is."""
        stands = self._times >= _REPEATS and time.monotonic() - self._heard <= _STANDING_SECONDS
        return self._alert if stands else None

    @property
    def lasting(self) -> Alert | None:
        """What has been refused for longer than patience lasts; None if nothing has."""
        return self.standing if time.monotonic() - self._since > PATIENCE_SECONDS else None

    def _understand(self, error: KafkaError) -> Alert | None:
        text = _AROUND.sub("", error.str()).rstrip(".?")
        if error.code() == KafkaError._AUTHENTICATION:
            user = repr(self._access.username) if self._access.username else f"of {self._access.username_variable}"
            return Alert(
                f"Kafka at {self._servers} refused the user {user}: {text}.",
                "Check username and sasl_mechanism of the cluster in instruments.toml, and the password in the "
                f"environment variable {self._access.password_variable}.",
            )
        if error.code() == KafkaError._SSL or any(mark in error.str() for mark in _TLS_MARKS):
            return Alert(
                f"No TLS connection to Kafka at {self._servers}: {text}.",
                "Check security_protocol, ca_file, certificate_file and key_file of the cluster in instruments.toml.",
            )
        return None


def raise_refusal(bootstrap_servers: str, access: Access) -> None:
    """Return if a cluster lets in, or is away; for kafka-python, which does not tell these from a refusal.

    Takes a tenth of a second if it lets in, and up to 4 s if it is away; nothing is asked without security.

    Parameters
    ----------
    bootstrap_servers : str
        Comma-separated `host:port` list.
    access : Access
        How the cluster is entered.

    Raises
    ------
    Alert
        If the cluster refuses user or certificate, or a secret or a file of the access is missing.
    """
    if access.security_protocol == "PLAINTEXT":
        return
    refusals = Refusals(bootstrap_servers, access)
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap_servers,
            "group.id": "runstart-unused",
            "error_cb": refusals.hear,
            "log_level": 0,
            **confluent_settings(access),
        }
    )
    try:
        deadline = time.monotonic() + _ASK_SECONDS
        while time.monotonic() < deadline:
            try:
                consumer.list_topics(timeout=0.5)
            except KafkaException:
                consumer.consume(1, timeout=0.0)  # serves the callback
            else:
                return
            if refusals.standing is not None:
                raise refusals.standing
    finally:
        consumer.close()
