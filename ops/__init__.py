"""What can be done, as Dagster steps: live reduction, data operations, the making of nights."""

from ops.data_operations import define_data_operations
from ops.live_reduction import reduce_live

__all__ = ["define_data_operations", "reduce_live"]
