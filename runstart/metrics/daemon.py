"""What Dagster's daemon has to tell, as an object in the store: a sensor writes it, the exporter reads it."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from runstart.storage import ObjectMissing, ObjectStore

KEY = "metrics/daemon.json"

Finite = Annotated[float, Field(allow_inf_nan=False)]


class SensorFigures(BaseModel):
    """One sensor or schedule of Dagster.

    Attributes
    ----------
    ticked_at : float or None
        Time of the newest tick in s since 1970; None before the first.
    failed : bool
        Whether that tick failed.
    unreadable, refused : int or None
        Of a run-start sensor: messages that could not be decoded, and RunStarts that cannot be runs.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    ticked_at: Finite | None = None
    failed: bool = False
    unreadable: int | None = None
    refused: int | None = None


class DaemonFigures(BaseModel):
    """All that the daemon tells.

    Attributes
    ----------
    written_at : float
        Time in s since 1970.
    runs : dict of str to int
        Dagster runs by status, in lower case.
    sensors : dict of str to SensorFigures
        Sensors and schedules that are on, by name.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    written_at: Finite
    runs: dict[str, int] = Field(default_factory=dict)
    sensors: dict[str, SensorFigures] = Field(default_factory=dict)


def write_daemon_figures(store: ObjectStore, figures: DaemonFigures) -> None:
    """Put the figures into the store.

    Raises
    ------
    Transient
        If the store does not answer.
    """
    store.put(KEY, figures.model_dump_json().encode())


def read_daemon_figures(store: ObjectStore) -> DaemonFigures | None:
    """Return the newest figures; None if none were ever written.

    Raises
    ------
    ValueError
        If the object cannot be understood.
    Transient
        If the store does not answer.
    """
    try:
        text = store.get(KEY).data
    except ObjectMissing:
        return None
    try:
        return DaemonFigures.model_validate_json(text)
    except ValidationError as error:
        raise ValueError(f"{KEY} cannot be understood: {error.error_count()} fields are wrong.") from error
