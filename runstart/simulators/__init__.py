"""Stands in for an instrument: replays NeXus event files and simulates a small-angle scattering beamline."""

from __future__ import annotations

from runstart.simulators.nexus import EventFile, EventSource, read_nexus_events
from runstart.simulators.publishing import PartitionChooser, Publisher, connect_publisher
from runstart.simulators.replay import ReplaySummary, replay
from runstart.simulators.sans import SansInstrument
from runstart.simulators.simulate import Simulation, simulate

__all__ = [
    "EventFile",
    "EventSource",
    "PartitionChooser",
    "Publisher",
    "ReplaySummary",
    "SansInstrument",
    "Simulation",
    "connect_publisher",
    "read_nexus_events",
    "replay",
    "simulate",
]
