"""Instruments as custom resources of Kubernetes: their definition, and the controller that turns them into a file."""

from __future__ import annotations

from runstart.instrument_resources.crd import make_crd, print_crd
from runstart.instrument_resources.resource import Resource, make_object, make_objects

__all__ = ["Resource", "make_crd", "make_object", "make_objects", "print_crd"]
