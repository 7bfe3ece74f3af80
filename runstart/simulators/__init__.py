"""Stands in for an instrument: replays NeXus event files, simulates a scattering beamline and a telescope's nights."""

from __future__ import annotations

from runstart.simulators.nexus import EventFile, EventSource, read_nexus_events
from runstart.simulators.night import simulate_night
from runstart.simulators.night_plan import NightPlan, Scenario
from runstart.simulators.night_truth import NightTruth, read_truth
from runstart.simulators.publishing import PartitionChooser, Publisher, connect_publisher
from runstart.simulators.replay import ReplaySummary, replay
from runstart.simulators.sans import SansInstrument
from runstart.simulators.simulate import Simulation, simulate

__all__ = [
    "EventFile",
    "EventSource",
    "NightPlan",
    "NightTruth",
    "PartitionChooser",
    "Publisher",
    "ReplaySummary",
    "SansInstrument",
    "Scenario",
    "Simulation",
    "connect_publisher",
    "read_nexus_events",
    "read_truth",
    "replay",
    "simulate",
    "simulate_night",
]
