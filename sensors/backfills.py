"""Makes an asset backfill as Dagster's own page and command line do, so that it is on the Backfills page."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

import dagster as dg

if TYPE_CHECKING:
    from dagster._core.definitions.partitions.subset import PartitionsSubset
    from dagster._core.execution.backfill import PartitionBackfill

_LONGEST_TITLE = 100  # that Dagster takes


def make_backfill(
    instance: dg.DagsterInstance,
    backfill_id: str,
    subsets: Mapping[dg.AssetKey, PartitionsSubset],
    *,
    title: str,
    description: str,
    tags: Mapping[str, str],
    now: datetime,
) -> PartitionBackfill:
    """Return a backfill of some partitions of some assets; `DagsterInstance.add_backfill` requests it.

    Parameters
    ----------
    instance : DagsterInstance
        Knows the dynamic partitions.
    backfill_id : str
        Its id; Dagster takes 32 characters, and one backfill of an id.
    subsets : mapping of AssetKey to PartitionsSubset
        What is made.
    title, description : str
        For the Backfills page.
    tags : mapping of str to str
        Of its Dagster runs.
    now : datetime
        The time, with its zone.
    """
    from dagster._core.definitions.assets.graph.asset_graph_subset import AssetGraphSubset
    from dagster._core.execution.backfill import PartitionBackfill

    return PartitionBackfill.from_asset_graph_subset(
        backfill_id=backfill_id,
        backfill_timestamp=now.timestamp(),
        tags=dict(tags),
        dynamic_partitions_store=instance,
        asset_graph_subset=AssetGraphSubset(
            partitions_subsets_by_asset_key=dict(subsets), non_partitioned_asset_keys=set()
        ),
        title=title[:_LONGEST_TITLE],
        description=description,
        run_config=None,
    )
