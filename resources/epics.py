"""EPICS as a Dagster resource: where the IOCs are, in the words of Channel Access itself."""

from __future__ import annotations

import os
from collections.abc import Mapping

import dagster as dg
from pydantic import Field


class EpicsResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Where collectors look for process variables.

    Channel Access reads its settings from the environment of the process, once; the resource shows them in Dagster and
    lets a deployment set them. What is left out stays as the environment has it.
    """

    address_list: str | None = Field(
        default=None,
        description="Where IOCs and gateways are looked for: addresses or `host:port`, separated by spaces "
        "(`EPICS_CA_ADDR_LIST`).",
    )
    auto_address_list: bool | None = Field(
        default=None,
        description="Whether the broadcast addresses of all network interfaces are asked too (`EPICS_CA_AUTO_ADDR_LIST`).",
    )
    server_port: int | None = Field(
        default=None, description="UDP and TCP port of the IOCs, 5064 by default (`EPICS_CA_SERVER_PORT`)."
    )

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> EpicsResource:
        """Return the resource that says what the environment says.

        Parameters
        ----------
        environ : mapping of str to str
            The environment of the code location.
        """
        automatic = environ.get("EPICS_CA_AUTO_ADDR_LIST")
        port = environ.get("EPICS_CA_SERVER_PORT", "")
        return cls(
            address_list=environ.get("EPICS_CA_ADDR_LIST"),
            auto_address_list=None if automatic is None else automatic.upper() != "NO",
            server_port=int(port) if port.isdecimal() else None,
        )

    def settings(self) -> dict[str, str]:
        """Return the environment variables of Channel Access that are given."""
        given = {
            "EPICS_CA_ADDR_LIST": self.address_list,
            "EPICS_CA_AUTO_ADDR_LIST": {True: "YES", False: "NO", None: None}[self.auto_address_list],
            "EPICS_CA_SERVER_PORT": None if self.server_port is None else str(self.server_port),
        }
        return {name: value for name, value in given.items() if value is not None}

    def apply(self) -> None:
        """Put the settings into this process's environment; without effect once Channel Access has been used."""
        os.environ.update(self.settings())
