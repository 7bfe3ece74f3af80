"""The base of all that is read from other people's JSON: fields that are not known are kept, known ones may be null."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer


class KeepingModel(BaseModel):
    """A model that writes what it has read; left out is a known field that is null, which says nothing."""

    model_config = ConfigDict(extra="allow")

    @model_serializer(mode="wrap")
    def _without_null(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        unknown = self.model_extra or {}
        return {key: value for key, value in handler(self).items() if value is not None or key in unknown}
