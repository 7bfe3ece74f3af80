"""What the facility declares about its instruments: topics, detector banks, TOF axis, views and intervals."""

from __future__ import annotations

from runstart.instruments.facility import Facility, KafkaCluster
from runstart.instruments.model import Bank, Instrument, TofAxis, Topics, View
from runstart.instruments.reading import read_instruments

__all__ = [
    "Bank",
    "Facility",
    "Instrument",
    "KafkaCluster",
    "TofAxis",
    "Topics",
    "View",
    "read_instruments",
]
