"""Turns the declared access to a Kafka cluster into the settings of both clients.

Secrets are read from the environment when a client connects, go into its settings and nowhere else, and are never
part of a text. What is missing or cannot be read is an `Alert` before anything connects.
"""

from __future__ import annotations

import logging
import os
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runstart.errors import Alert
from runstart.instruments import Access

_REQUEST_LOGGERS = ("kafka.net.connection", "kafka.protocol.parser")


class _Secret(str):
    """A text that does not show itself: kafka-python logs its settings."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'...'"


def confluent_settings(access: Access, environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the settings of librdkafka for an access.

    Parameters
    ----------
    access : Access
        As declared for the cluster.
    environ : Mapping of str to str, optional
        Holds the secrets; by default the environment of the process.

    Returns
    -------
    dict of str to str
        Secrets included: for a client's constructor and nothing else.

    Raises
    ------
    Alert
        If a variable is not set or a file cannot be used.
    """
    environ = os.environ if environ is None else environ
    settings: dict[str, str] = {"security.protocol": access.security_protocol}
    if access.uses_tls:
        _tls_context(access, environ)  # finds what is wrong with the files, with better words than librdkafka's
        files = {
            "ssl.ca.location": access.ca_file,
            "ssl.certificate.location": access.certificate_file,
            "ssl.key.location": access.key_file,
        }
        settings |= {name: file for name, file in files.items() if file is not None}
        if access.key_password_variable is not None:
            settings["ssl.key.password"] = _secret(access.key_password_variable, environ)
    if access.uses_sasl:
        mechanism, username, password = _login(access, environ)
        settings |= {"sasl.mechanism": mechanism, "sasl.username": username, "sasl.password": password}
    return settings


def kafka_python_settings(access: Access, environ: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the settings of kafka-python for an access; parameters and errors as `confluent_settings`.

    Returns
    -------
    dict of str to Any
        Secrets included: for a client's constructor and nothing else.
    """
    environ = os.environ if environ is None else environ
    settings: dict[str, Any] = {"security_protocol": access.security_protocol}
    if access.uses_tls:
        settings["ssl_context"] = _tls_context(access, environ)
    if access.uses_sasl:
        mechanism, username, password = _login(access, environ)
        _silence_requests()
        settings |= {
            "sasl_mechanism": mechanism,
            "sasl_plain_username": username,
            "sasl_plain_password": password,
        }
    return settings


def _silence_requests() -> None:
    """Keep kafka-python from logging its requests at level DEBUG: one of them holds the password."""
    for name in _REQUEST_LOGGERS:
        logger = logging.getLogger(name)
        logger.setLevel(max(logger.level, logging.INFO))


def _login(access: Access, environ: Mapping[str, str]) -> tuple[str, str, str]:
    if access.sasl_mechanism is None or access.password_variable is None:
        raise Alert("A Kafka cluster with SASL has no sasl_mechanism or password_variable.", "Declare both.")
    username = access.username or _secret(access.username_variable or "", environ)
    return access.sasl_mechanism, username, _secret(access.password_variable, environ)


def _secret(variable: str, environ: Mapping[str, str]) -> str:
    value = environ.get(variable)
    if not value:
        raise Alert(
            f"The environment variable {variable} is not set, which instruments.toml names for access to Kafka.",
            "Set it where the daemon, the code location and the runs get their environment.",
        )
    return _Secret(value)


def _tls_context(access: Access, environ: Mapping[str, str]) -> ssl.SSLContext:
    for file in (access.ca_file, access.certificate_file, access.key_file):
        if file is not None:
            _check_readable(file)
    try:
        context = ssl.create_default_context(cafile=access.ca_file)
    except ssl.SSLError as error:
        raise Alert(
            f"{access.ca_file} holds no certificates ({error.reason}).", "Name a PEM file as ca_file."
        ) from None
    if access.certificate_file is None:
        return context
    variable = access.key_password_variable
    # Without a password OpenSSL would ask for one on the terminal.
    password = "" if variable is None else _secret(variable, environ)
    try:
        context.load_cert_chain(access.certificate_file, access.key_file, password=lambda: password)
    except (ssl.SSLError, ValueError) as error:
        reason = getattr(error, "reason", None) or "no or wrong password"
        raise Alert(
            f"{access.certificate_file} and {access.key_file} cannot be used as a client's certificate ({reason}).",
            "Name PEM files that belong together, and the password of the key in key_password_variable if it has one.",
        ) from None
    return context


def _check_readable(file: str) -> None:
    try:
        with Path(file).open("rb"):
            return
    except OSError as error:
        raise Alert(
            f"{file} cannot be read ({error.strerror}), which instruments.toml names for access to Kafka.",
            "Put the file there or correct its name.",
        ) from error
