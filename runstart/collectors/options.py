"""The options of the collectors that ship; apart from them, because every declaration is checked at load."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BeforeValidator, Field, field_validator

from runstart.collectors.base import NoOptions

__all__ = ["EpicsOptions", "KafkaLogsOptions"]

_PV = re.compile(r"[!-~]{1,60}")
_TOPIC = r"^[A-Za-z0-9._-]{1,249}$"
_MOST_PVS = 5000


def _named(pvs: object) -> object:
    return {pv: pv for pv in pvs} if isinstance(pvs, list) and all(isinstance(pv, str) for pv in pvs) else pvs


_Names = Annotated[str, Field(min_length=1, max_length=200)]
_Seconds = Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)]


class EpicsOptions(NoOptions):
    """What the collector `epics` monitors."""

    pvs: Annotated[dict[_Names, str], BeforeValidator(_named), Field(min_length=1, max_length=_MOST_PVS)]
    """Names of PVs by name of the log, or a list of PVs whose logs are named like them."""

    heartbeat: _Seconds = 2.0
    """Seconds without an update after which a PV is asked whether it is alive, and again so often."""

    silence: _Seconds = 5.0
    """Seconds without an answer after which a PV counts as disconnected."""

    @field_validator("pvs")
    @classmethod
    def _check_pvs(cls, pvs: dict[str, str]) -> dict[str, str]:
        for name, pv in pvs.items():
            if not _PV.fullmatch(pv):
                raise ValueError(
                    f"{pv[:80]!r} (for {name!r}) is not the name of a PV: "
                    "1 to 60 visible ASCII characters without spaces"
                )
        return pvs


class KafkaLogsOptions(NoOptions):
    """What the collector `kafka_logs` reads."""

    topic: Annotated[str, Field(pattern=_TOPIC)] | None = None
    """Topic of the log messages; the instrument's `sample_env` topic if left out."""

    sources: dict[_Names, _Names] | None = None
    """Source names by name of the log; `*` in a source name stands for any characters, and for the same in the name of
    the log. All sources under their own names if left out."""

    look_back: Annotated[float, Field(ge=0, le=604_800, allow_inf_nan=False)] | None = None
    """Seconds before the run's start from which on messages are read, to find the values at the start; the instrument's
    `seek_margin` if left out."""

    @field_validator("sources")
    @classmethod
    def _check_patterns(cls, sources: dict[str, str] | None) -> dict[str, str] | None:
        for name, source in (sources or {}).items():
            if name.count("*") > 1 or source.count("*") > 1 or ("*" in name) > ("*" in source):
                raise ValueError(
                    f"{name!r} = {source!r} has too many '*': write one in each, such as 'temp_*' = 'SE:TEMP:*', "
                    "or one in the source alone"
                )
            if "*" in source and "*" not in name:
                raise ValueError(f"{name!r} would hold all sources like {source!r}; write a '*' in the name too")
        return sources
