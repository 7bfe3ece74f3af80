"""The outside world as Dagster resources."""

from resources.kafka import KafkaResource
from resources.object_store import ObjectStoreResource

__all__ = ["KafkaResource", "ObjectStoreResource"]
