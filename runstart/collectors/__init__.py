"""Collectors of time-series logs: EPICS, Kafka, and whatever a facility adds as a class of its own."""

from __future__ import annotations

from runstart.collectors.base import Collector, NoOptions
from runstart.collectors.collecting import Collecting
from runstart.collectors.context import Reading, RunContext, RunFacts
from runstart.collectors.registry import check_declaration, known_collectors, make_collector

__all__ = [
    "Collecting",
    "Collector",
    "NoOptions",
    "Reading",
    "RunContext",
    "RunFacts",
    "check_declaration",
    "known_collectors",
    "make_collector",
]
