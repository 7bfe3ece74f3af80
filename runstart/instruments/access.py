"""How a Kafka cluster is entered: protocol, user and certificates, never a secret.

Secrets stand in the environment alone. What is declared here names the variable that holds one, so that a
declaration can be shown, stored and compared; a secret written into `instruments.toml` is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, ValidationInfo, field_validator, model_validator

from runstart.instruments._base import Frozen

SecurityProtocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
SaslMechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]

FILE_KEYS = ("ca_file", "certificate_file", "key_file")
_SECRET_KEYS = ("password", "sasl_password", "key_password", "secret", "token")
_SASL_KEYS = ("sasl_mechanism", "username", "username_variable", "password_variable")
_TLS_KEYS = (*FILE_KEYS, "key_password_variable")
_OWNERS = {"sasl": "SASL_SSL or SASL_PLAINTEXT", "tls": "SASL_SSL or SSL"}

_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]{0,127}")
_Text = Annotated[str, Field(min_length=1, max_length=4096)]


class Access(Frozen):
    """Protocol, user and certificates of a Kafka cluster; the secrets are named, not held."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    security_protocol: SecurityProtocol = "PLAINTEXT"
    """Whether connections are encrypted (SSL) and whether users have names (SASL)."""

    sasl_mechanism: SaslMechanism | None = None
    """How the user proves to have the password; needed with SASL."""

    username: _Text | None = None
    """The user."""

    username_variable: str | None = None
    """Environment variable with the user, in place of `username`."""

    password_variable: str | None = None
    """Environment variable with the password; `RUNSTART_KAFKA_<NAME>_PASSWORD` unless declared."""

    ca_file: _Text | None = None
    """PEM file with the authorities that sign the brokers' certificates; those of the system unless declared."""

    certificate_file: _Text | None = None
    """PEM file with the client's own certificate, where brokers demand one."""

    key_file: _Text | None = None
    """PEM file with the key of that certificate."""

    key_password_variable: str | None = None
    """Environment variable with the password of the key file, if it has one."""

    @property
    def uses_sasl(self) -> bool:
        """Whether a user and a password are sent."""
        return self.security_protocol.startswith("SASL")

    @property
    def uses_tls(self) -> bool:
        """Whether connections are encrypted."""
        return self.security_protocol.endswith("SSL")

    @model_validator(mode="before")
    @classmethod
    def _refuse_secrets(cls, table: Any) -> Any:
        written = [key for key in _SECRET_KEYS if isinstance(table, dict) and key in table]
        if written:
            raise ValueError(
                f"{written[0]} does not belong into a file; remove the line, change that secret, and put the new one "
                "into the environment variable RUNSTART_KAFKA_<NAME>_PASSWORD, or another that password_variable "
                "(or key_password_variable) names"
            )
        return table

    @field_validator(*_SASL_KEYS, *_TLS_KEYS)
    @classmethod
    def _check_protocol(cls, value: str | None, info: ValidationInfo) -> str | None:
        protocol, field = info.data.get("security_protocol"), info.field_name
        if protocol is None or value is None:
            return value
        kind, fits = ("sasl", "SASL" in protocol) if field in _SASL_KEYS else ("tls", protocol.endswith("SSL"))
        if not fits:
            raise ValueError(f"is not used with security_protocol {protocol}; it goes with {_OWNERS[kind]}")
        return value

    @field_validator("username_variable", "password_variable", "key_password_variable")
    @classmethod
    def _check_variable(cls, variable: str | None) -> str | None:
        if variable is not None and not _VARIABLE.fullmatch(variable):  # not shown: it may be the secret itself
            raise ValueError(
                "names no environment variable; write one of upper-case letters, digits and underscores"
            )
        return variable

    @field_validator("username_variable")
    @classmethod
    def _check_one_username(cls, variable: str | None, info: ValidationInfo) -> str | None:
        if variable is not None and info.data.get("username") is not None:
            raise ValueError("stands beside username; write only one of them")
        return variable

    @model_validator(mode="after")
    def _check_completeness(self) -> Access:
        if self.uses_sasl and self.sasl_mechanism is None:
            raise ValueError(
                f"security_protocol {self.security_protocol} needs a sasl_mechanism: PLAIN, SCRAM-SHA-256 or "
                "SCRAM-SHA-512"
            )
        if self.uses_sasl and self.username is None and self.username_variable is None:
            raise ValueError(f"security_protocol {self.security_protocol} needs a username or a username_variable")
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("certificate_file and key_file need each other; write both or none")
        if self.key_password_variable is not None and self.key_file is None:
            raise ValueError("key_password_variable needs a key_file")
        return self


PLAINTEXT = Access()


def with_absolute_files(table: Mapping[str, Any], beside: Path) -> dict[str, Any]:
    """Return a cluster's table with its files made absolute.

    Parameters
    ----------
    table : Mapping of str to Any
        As read from TOML; not checked yet.
    beside : Path
        The folder that relative paths begin in.

    Returns
    -------
    dict of str to Any
    """
    files = {key: table[key] for key in FILE_KEYS if isinstance(table.get(key), str) and table[key]}
    return {**table, **{key: str((beside / file).absolute()) for key, file in files.items()}}
