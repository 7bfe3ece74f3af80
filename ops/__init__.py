"""What can be done, as Dagster steps: live reduction, data operations, the making of nights."""

from ops.data_operations import define_data_operations, define_operation_outputs
from ops.live_reduction import reduce_live

__all__ = ["define_data_operations", "define_operation_outputs", "reduce_live"]
