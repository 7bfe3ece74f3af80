"""Reduction scripts: fetched by content, executed outside the live run's process, their outputs checked and drawn."""

from runstart.scripts.keeper import ScriptKeeper
from runstart.scripts.model import (
    Axis,
    EarlierRun,
    KeptEvents,
    LogSamples,
    NamedArray,
    ScriptInput,
    ScriptOutcome,
    earlier_run,
)
from runstart.scripts.pictures import script_pictures, script_thumbnails
from runstart.scripts.runner import execute
from runstart.scripts.sources import FetchedScript, fetch

__all__ = [
    "Axis",
    "EarlierRun",
    "FetchedScript",
    "KeptEvents",
    "LogSamples",
    "NamedArray",
    "ScriptInput",
    "ScriptKeeper",
    "ScriptOutcome",
    "earlier_run",
    "execute",
    "fetch",
    "script_pictures",
    "script_thumbnails",
]
