"""Remembers, beside the text in the config map, which resource each instrument comes from.

So the controller keeps nothing itself: started anew, anywhere, it knows what is in force and who has it.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping

from pydantic import TypeAdapter, ValidationError

from runstart.instrument_resources.deciding import Decision, Placed
from runstart.instrument_resources.names import ORIGINS_KEY, TEXT_KEY
from runstart.instrument_resources.text import Base, write_text

_ORIGINS = TypeAdapter(dict[str, tuple[str, int]])


def make_data(base: Base, decision: Decision) -> dict[str, str]:
    """Return the data of the config map for a decision."""
    origins = {uid: [placed.instrument, placed.generation] for uid, placed in sorted(decision.placed.items())}
    return {
        TEXT_KEY: write_text(base.table, decision.tables()),
        ORIGINS_KEY: json.dumps(origins, indent=1) + "\n",
    }


def read_data(data: Mapping[str, str]) -> dict[str, Placed]:
    """Return what is in force by the data of the config map, by uid of the resources.

    What was not written by this module (an empty config map, a changed one) has nothing in force.
    """
    try:
        origins = _ORIGINS.validate_json(data.get(ORIGINS_KEY, "{}"))
        tables = tomllib.loads(data.get(TEXT_KEY, "")).get("instruments", {})
    except (ValidationError, tomllib.TOMLDecodeError):
        return {}
    return {
        uid: Placed(instrument, generation, tables[instrument])
        for uid, (instrument, generation) in origins.items()
        if isinstance(tables.get(instrument), dict)
    }
