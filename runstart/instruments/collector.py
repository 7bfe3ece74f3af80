"""How an instrument declares its collectors: by name of the collector, with the options that this one reads."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator


class CollectorDeclaration(BaseModel):
    """A collector of an instrument; keys other than `use` are the collector's own options."""

    model_config = ConfigDict(frozen=True, extra="allow")

    use: str
    """Name of a collector that ships (`epics`, `kafka_logs`), or `package.module:Class` of another."""

    @property
    def options(self) -> dict[str, Any]:
        """The options as declared."""
        return dict(self.model_extra or {})

    @model_validator(mode="after")
    def _check_options(self) -> CollectorDeclaration:
        from runstart.collectors.registry import check_declaration  # it reads declarations itself

        check_declaration(self.use, self.options)
        return self
