"""Kafka clusters as a Dagster resource."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg
from pydantic import Field

if TYPE_CHECKING:
    from runstart.instruments import Instrument


class KafkaResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Where the Kafka clusters of the facility are."""

    clusters: dict[str, str] = Field(
        description="Bootstrap servers (comma-separated host:port) of each cluster, by the name that "
        "instruments.toml gives it."
    )
    protocols: dict[str, str] = Field(
        default={},
        description="Security protocol of each cluster; what else it takes to enter one is declared in "
        "instruments.toml, and secrets are read from the environment when a client connects.",
    )

    def bootstrap_servers_of(self, instrument: Instrument) -> str:
        """Return the bootstrap servers of an instrument's cluster."""
        return self.clusters[instrument.kafka]
