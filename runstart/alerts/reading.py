"""Reads `alerts.toml`; whatever is wrong with it becomes an `Alert` with file, line, field and remedy."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from runstart.alerts.configuration import AlertsConfiguration, Email, QuietTable, Rules, Webhook
from runstart.errors import Alert
from runstart.toml_files import Document, Problem, describe_error, describe_unknown_key, read_document

_NESTED: dict[str, type[BaseModel]] = {
    "quiet_hours": QuietTable,
    "rules": Rules,
    "instruments": Rules,
    "webhooks": Webhook,
    "email": Email,
}


def read_alerts(path: str | os.PathLike[str], instruments: Iterable[str] | None = None) -> AlertsConfiguration:
    """Read what people are told, when and where.

    Parameters
    ----------
    path : str or os.PathLike
        The TOML file.
    instruments : iterable of str, optional
        Names of the facility's instruments; rules for another one are a mistake.

    Returns
    -------
    AlertsConfiguration

    Raises
    ------
    Alert
        The file is not there, is not TOML, or says something that cannot be.
    """
    document = read_document(path, "Name the file that says who is told what, or write one.")
    table = _with_certificates(document.table, document.path.parent)
    try:
        configuration = AlertsConfiguration.model_validate(table)
    except ValidationError as error:
        raise document.alert([_problem(details) for details in error.errors()]) from None
    if instruments is not None:
        _check_instruments(document, configuration, list(instruments))
    return configuration


def missing_variables(configuration: AlertsConfiguration, environ: Mapping[str, str]) -> list[str]:
    """Return the names of environment variables that the configuration needs and that are not set."""
    needed = [webhook.url_variable for webhook in configuration.webhooks]
    needed += [webhook.token_variable for webhook in configuration.webhooks]
    if configuration.email is not None:
        needed.append(configuration.email.password_variable)
    return sorted({name for name in needed if name is not None and not environ.get(name)})


def _with_certificates(table: dict[str, Any], beside: Path) -> dict[str, Any]:
    """Return the document with the certificates' path made absolute."""
    email = table.get("email")
    if not isinstance(email, dict) or not isinstance(email.get("ca_file"), str):
        return table
    return {**table, "email": {**email, "ca_file": (beside / email["ca_file"]).absolute()}}


def _problem(details: Any) -> Problem:
    location = details["loc"]
    known: list[str] = []
    if details["type"] == "extra_forbidden":
        owner = AlertsConfiguration if len(location) == 1 else _NESTED[str(location[0])]
        known = [field.alias or name for name, field in owner.model_fields.items()]
    if "url" in location and details["type"] != "extra_forbidden":
        # The address of a webhook may be a secret; pydantic's own words would show it.
        return location, "is no HTTP address; write one like 'https://chat.example.org/hooks/runs'"
    return location, describe_error(details, known)


def _check_instruments(document: Document, configuration: AlertsConfiguration, known: list[str]) -> None:
    problems: list[Problem] = [
        (("instruments", name), describe_unknown_key(name, known).replace("a key that anything reads", "declared"))
        for name in configuration.instruments
        if name not in known
    ]
    if problems:
        raise document.alert(problems)


def alert_about_variables(names: Iterable[str]) -> Alert:
    """Return what to say about environment variables that are not set."""
    listed = ", ".join(names)
    return Alert(
        f"Not set in the environment: {listed}.", "Set them where the Dagster daemon's code runs; alerts need them."
    )
