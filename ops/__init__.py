"""What can be done: live reduction as a Dagster step."""

from ops.live_reduction import reduce_live

__all__ = ["reduce_live"]
