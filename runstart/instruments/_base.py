"""What all declarations have in common: they are frozen, strict, and have no keys but their own."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

SECONDS_PER_DAY = 86_400.0
NAME_PATTERN = r"^[A-Za-z][A-Za-z0-9_]{0,62}$"

Interval = Annotated[float, Field(strict=True, gt=0, le=SECONDS_PER_DAY, allow_inf_nan=False)]
Delay = Annotated[float, Field(strict=True, ge=0, le=SECONDS_PER_DAY, allow_inf_nan=False)]


class Frozen(BaseModel):
    """A model that cannot be changed and has no keys but its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")
