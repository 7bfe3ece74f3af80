"""Everything at once on one machine: broker, store, simulated instrument, and Dagster around them."""

from __future__ import annotations

from runstart.demo.place import find_checkout, make_place
from runstart.demo.supervisor import ChildEnded, Demo, DemoSettings

__all__ = ["ChildEnded", "Demo", "DemoSettings", "find_checkout", "make_place"]
