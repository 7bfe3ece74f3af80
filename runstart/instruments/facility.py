"""All that a facility declares, checked as a whole: clusters that exist, event topics that are not shared."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated

from pydantic import Field, field_validator, model_validator

from runstart.instruments._base import NAME_PATTERN, Frozen
from runstart.instruments.access import Access
from runstart.instruments.model import Instrument

_SERVER = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):([0-9]{1,5})")


class KafkaCluster(Access):
    """A Kafka cluster by name, and how it is entered."""

    name: Annotated[str, Field(pattern=NAME_PATTERN)]
    """Name of its table in `instruments.toml`."""

    bootstrap_servers: str
    """`host:port`, or several of them with commas between."""

    @field_validator("bootstrap_servers")
    @classmethod
    def _check_servers(cls, servers: str) -> str:
        for server in servers.split(","):
            if "@" in server:
                raise ValueError("has an @: a user or password does not belong there; write host:port alone")
            match = _SERVER.fullmatch(server.strip())
            if match is None or not 0 < int(match[1]) < 65536:
                raise ValueError(f"{server.strip()!r} is not host:port; write it like 'localhost:9092'")
        return servers

    @property
    def access(self) -> Access:
        """How the cluster is entered, with the variable of its password named."""
        fields = {field: getattr(self, field) for field in Access.model_fields}
        if self.uses_sasl and self.password_variable is None:
            fields["password_variable"] = f"RUNSTART_KAFKA_{self.name.upper()}_PASSWORD"
        return Access(**fields)


class Facility(Frozen):
    """All instruments and Kafka clusters of a facility, by name."""

    instruments: dict[str, Instrument]
    clusters: dict[str, KafkaCluster]

    @model_validator(mode="after")
    def _check_references(self) -> Facility:
        for path, problem in conflicts(self.instruments, self.clusters):
            raise ValueError(f"{'.'.join(path)}: {problem}")
        return self


def conflicts(
    instruments: Mapping[str, Instrument], clusters: Mapping[str, KafkaCluster]
) -> list[tuple[tuple[str, ...], str]]:
    """Return what is wrong among instruments that are each right by themselves.

    Parameters
    ----------
    instruments : Mapping[str, Instrument]
    clusters : Mapping[str, KafkaCluster]

    Returns
    -------
    list of (path, problem)
        Path of the field, such as `("instruments", "SANS2D", "kafka")`, and a text with the remedy.
    """
    found: list[tuple[tuple[str, ...], str]] = []
    event_topics: dict[tuple[str, str], str] = {}
    for name, instrument in instruments.items():
        if instrument.kafka not in clusters:
            known = ", ".join(sorted(clusters)) or "none"
            problem = (
                f"there is no Kafka cluster {instrument.kafka!r} (known: {known}); add a table "
                f"[kafka.{instrument.kafka}] with its bootstrap_servers"
            )
            found.append((("instruments", name, "kafka"), problem))
        event_topics.setdefault((instrument.kafka, instrument.topics.events), name)
    for name, instrument in instruments.items():
        for field, topic in instrument.topics:
            owner = event_topics.get((instrument.kafka, topic), name)
            if owner != name:
                problem = (
                    f"{topic!r} is the event topic of {owner}; events do not name their instrument, "
                    "so each instrument needs an event topic of its own"
                )
                found.append((("instruments", name, "topics", field), problem))
    return found
