"""Data operations as Dagster jobs: one op and one job for each, made from its declaration."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg

from ops.config_schema import make_config_schema
from ops.errors import told_to_dagster
from ops.run_beats import beating
from ops.tags import BATCH, KIND_TAG, LAUNCH_TAG
from resources import DataOperationsResource, ObjectStoreResource

if TYPE_CHECKING:
    from runstart.operation_kit import Operation

OPERATION_TAG = "runstart/operation"


def define_data_operations(operations: Iterable["Operation"]) -> list[dg.JobDefinition]:
    """Return the job of each data operation; its name is the operation's slug."""
    return [_define_job(operation) for operation in operations]


def define_operation_outputs(operations: Iterable["Operation"]) -> list[dg.AssetSpec]:
    """Return an asset for the outputs of each data operation, on whose page their pictures stand in place."""
    return [
        dg.AssetSpec(
            _output_key(operation),
            description=f"{operation.description} These are the outputs of the job `{operation.slug}`.",
            group_name="data_operations",
            kinds={"fits"},
        )
        for operation in operations
    ]


def _output_key(operation: "Operation") -> dg.AssetKey:
    return dg.AssetKey(["data_operations", operation.slug])


def _define_job(operation: "Operation") -> dg.JobDefinition:
    compute = _define_op(operation)
    schema = make_config_schema(f"{operation.slug}_job", operation.schema())

    def for_op(inputs: Mapping[str, Any]) -> dict[str, Any]:
        return {"ops": {compute.name: {"config": inputs}}}

    @dg.job(
        name=operation.slug,
        description=operation.description,
        config=dg.ConfigMapping(config_fn=for_op, config_schema=schema),
        tags={KIND_TAG: BATCH, OPERATION_TAG: operation.slug},
        metadata={"operation": operation.name, "version": operation.version, "category": operation.category},
    )
    def job() -> None:
        compute()

    return job


def _define_op(operation: "Operation") -> dg.OpDefinition:
    from runstart.operation_kit import library_version

    asset_key = _output_key(operation)

    @dg.op(
        name=f"compute_{operation.slug}",
        description=operation.description,
        config_schema=make_config_schema(operation.slug, operation.schema()),
        out=dg.Out(dg.String, description="The cache key: outputs lie under operations/KEY/ in the object store."),
        code_version=f"{operation.version}-{operation.source_sha256[:12]}-{library_version()}",
        tags={"dagster/compute_kind": "fits"},
    )
    def compute(
        context: dg.OpExecutionContext,
        object_store: ObjectStoreResource,
        data_operations: DataOperationsResource,
    ) -> str:
        from ops.operation_reporting import OperationReporter, describe_answer
        from runstart.operation_kit import execute
        from runstart.operation_kit.following import following

        with told_to_dagster(context.retry_number):
            store = object_store.open()
            followed_in = store if LAUNCH_TAG in context.run.tags else None
            with beating(store, context.run_id), following(followed_in, context.run_id) as follower:
                reporter = OperationReporter(context, store, asset_key, follower.progress)
                answer = execute(operation, context.op_config, data_operations.open(store), reporter)
                follower.complete(answer.entry.key)
        context.add_output_metadata(describe_answer(answer))
        return answer.entry.key

    return compute
