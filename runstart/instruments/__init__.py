"""What the facility declares about its instruments: topics, detector banks, TOF axis, views and intervals."""

from __future__ import annotations

from runstart.instruments.access import PLAINTEXT, Access
from runstart.instruments.collector import CollectorDeclaration
from runstart.instruments.facility import Facility, KafkaCluster
from runstart.instruments.model import Bank, Instrument, TofAxis, Topics, View
from runstart.instruments.reading import read_instruments
from runstart.instruments.script import Script

__all__ = [
    "PLAINTEXT",
    "Access",
    "Bank",
    "CollectorDeclaration",
    "Facility",
    "Instrument",
    "KafkaCluster",
    "Script",
    "TofAxis",
    "Topics",
    "View",
    "read_instruments",
]
