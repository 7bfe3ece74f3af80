"""The outside world as Dagster resources."""

from resources.compute import ComputeResource
from resources.data_operations import DataOperationsResource
from resources.epics import EpicsResource
from resources.kafka import KafkaResource
from resources.launcher import LauncherResource
from resources.object_store import ObjectStoreResource
from resources.scans import ScansResource
from resources.sessions import SHIPPED_OPERATORS, SessionsResource
from resources.step_values import StepValuesIOManager

__all__ = [
    "SHIPPED_OPERATORS",
    "ComputeResource",
    "DataOperationsResource",
    "EpicsResource",
    "KafkaResource",
    "LauncherResource",
    "ObjectStoreResource",
    "ScansResource",
    "SessionsResource",
    "StepValuesIOManager",
]
