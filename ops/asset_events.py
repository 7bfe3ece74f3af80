"""What a step adds to the events of assets that it tells by itself, so that they look like those that Dagster makes."""

from __future__ import annotations

from collections.abc import Mapping

import dagster as dg
from dagster import AssetCheckEvaluation
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluationTargetMaterializationData,
)

__all__ = ["AssetCheckEvaluation", "newest_materialization", "version_tags"]

_DATA_VERSION, _CODE_VERSION = "dagster/data_version", "dagster/code_version"
_INPUT_DATA_VERSION, _INPUT_EVENT = "dagster/input_data_version", "dagster/input_event_pointer"


def version_tags(data_version: str, code_version: str, needs: Mapping[dg.AssetKey, str]) -> dict[str, str]:
    """Return the tags of a materialization; without those of what it was made of Dagster takes it for out of date.

    Parameters
    ----------
    data_version, code_version : str
        Of the asset.
    needs : mapping of AssetKey to str
        The data versions of the assets that it was made of.
    """
    tags = {_DATA_VERSION: data_version, _CODE_VERSION: code_version}
    for key, version in needs.items():
        name = key.to_user_string()
        tags |= {f"{_INPUT_DATA_VERSION}/{name}": version, f"{_INPUT_EVENT}/{name}": "NULL"}
    return tags


def newest_materialization(
    instance: dg.DagsterInstance, asset_key: dg.AssetKey, partition: str
) -> AssetCheckEvaluationTargetMaterializationData:
    """Return the materialization that was just told: without it Dagster takes a check for an older one's."""
    wanted = dg.AssetRecordsFilter(asset_key=asset_key, asset_partitions=[partition])
    newest = instance.fetch_materializations(wanted, limit=1).records[0]
    return AssetCheckEvaluationTargetMaterializationData(
        storage_id=newest.storage_id, run_id=newest.run_id, timestamp=newest.timestamp
    )
