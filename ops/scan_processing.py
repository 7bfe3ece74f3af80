"""Processes a scan in Dagster steps: a light one that plans, a heavy one for each batch, and one that merges.

Each step may be in a pod of its own. What a step hands on is JSON, and names what lies in the object store; a batch that is
done is never computed again, whoever asks for it. Since the operations are part of the assets' graph, materializing from
the UI places them as the job does.
"""

import contextlib
import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

from ops.errors import told_to_dagster
from ops.run_beats import beating
from ops.scan_metadata import describe_result
from ops.scan_pods import merge_pod, step_pod
from ops.tags import K8S_CONFIG_TAG
from resources import ObjectStoreResource, ScansResource

if TYPE_CHECKING:
    from runstart.microscopes import Microscope
    from runstart.scans import Plan, ScanResult, ScanWork

RAW_SCAN = "raw_scan"
_FOLLOWS_RAW_SCAN = {RAW_SCAN: dg.In(dg.Nothing)}


def scan_asset_key(microscope: "Microscope", asset: str) -> dg.AssetKey:
    """Return the asset key of one of a microscope's assets."""
    return dg.AssetKey([microscope.name, asset])


@contextlib.contextmanager
def at_work(
    context: dg.OpExecutionContext | dg.AssetExecutionContext,
    microscope: "Microscope",
    object_store: ObjectStoreResource,
    scans: ScansResource,
) -> Iterator["ScanWork"]:
    """Give the scan that the step's partition names; meanwhile the run shows that it lives.

    Raises
    ------
    dagster.Failure
        For an alert; not retried.
    dagster.RetryRequested
        If disk or store do not answer.
    """
    with told_to_dagster(context.retry_number):
        store = object_store.open()
        with beating(store, context.run.run_id):
            yield scans.open(store, microscope, context.partition_key, context.log.info)


def define_plan_op(microscope: "Microscope") -> dg.OpDefinition:
    """Return the light step that gives out the batches of a scan."""

    @dg.op(
        name=f"plan_batches_{microscope.name}",
        ins=_FOLLOWS_RAW_SCAN,
        out=dg.DynamicOut(),
        description="Divides the frames of a scan into batches, each for a step of its own.",
    )
    def plan_batches(
        context: dg.OpExecutionContext, object_store: ObjectStoreResource, scans: ScansResource
    ) -> Iterator[dg.DynamicOutput[dict[str, Any]]]:
        from runstart.scans import plan_scan

        with at_work(context, microscope, object_store, scans) as work:
            plan = _find_plan_of_run(context, work) or plan_scan(work)
        context.log.info(f"{plan.accounting.seen:,} frames in {len(plan.batches)} batches.")
        for batch in plan.batches:
            metadata = {"batch": batch.number, "batches": len(plan.batches), "frames": batch.frames}
            if not plan.header.is_sparse:
                metadata["bytes"] = batch.frames * _frame_bytes(plan)
            yield dg.DynamicOutput(
                {"plan": plan.key, "batch": batch.number}, mapping_key=f"{batch.number:05d}", metadata=metadata
            )

    return plan_batches


def define_process_op(microscope: "Microscope") -> dg.OpDefinition:
    """Return the heavy step that processes one batch."""

    @dg.op(
        name=f"process_batch_{microscope.name}",
        tags={K8S_CONFIG_TAG: step_pod(microscope)},
        description="Counts electrons, sums moments, virtual detectors and diffraction patterns of one batch.",
    )
    def process_batch(
        context: dg.OpExecutionContext,
        batch: dict[str, Any],
        object_store: ObjectStoreResource,
        scans: ScansResource,
    ) -> dict[str, Any]:
        from runstart.scans import load_plan, process_batch

        begin = time.monotonic()
        with at_work(context, microscope, object_store, scans) as work:
            plan = load_plan(work, batch["plan"])
            is_new = process_batch(work, plan, batch["batch"])
        seconds = time.monotonic() - begin
        frames = plan.batches[batch["batch"]].frames
        if not is_new:
            context.log.info(f"Batch {batch['batch']} was done already.")
        context.add_output_metadata(
            {"frames": frames, "seconds": round(seconds, 3), "was done already": not is_new}
        )
        return batch

    return process_batch


def define_merge_op(microscope: "Microscope", assets: Sequence[str]) -> dg.OpDefinition:
    """Return the step that merges all batches and publishes the result; it has an output for each asset."""

    @dg.op(
        name=f"merge_scan_{microscope.name}",
        out={asset: dg.Out(dg.Nothing) for asset in assets},
        tags={K8S_CONFIG_TAG: merge_pod(microscope)},
        description="Merges the batches of a scan, and publishes maps, pictures and NeXus file.",
    )
    def merge_scan(
        context: dg.OpExecutionContext,
        batches: list[dict[str, Any]],
        object_store: ObjectStoreResource,
        scans: ScansResource,
    ) -> Iterator[dg.Output[None]]:
        from runstart.scans import finish_scan

        with at_work(context, microscope, object_store, scans) as work:
            result = finish_scan(work, batches[0]["plan"])
            described = {asset: describe_result(result, asset, work.store) for asset in assets}
        for asset, metadata in described.items():
            yield dg.Output(None, asset, metadata=metadata, data_version=dg.DataVersion(result.digest))

    return merge_scan


def raw_data_version(plan: "Plan") -> dg.DataVersion:
    """Return the version of the frames that a plan is of: another file or more frames, another version."""
    made_of = [plan.version, plan.accounting.as_dict()]
    return dg.DataVersion(hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest())


def load_result(
    microscope: "Microscope", object_store: ObjectStoreResource, scan: str
) -> tuple["ScanResult", bytes, bytes | None]:
    """Return the result of a scan that counts, its NeXus file, and its counted frames if it has them.

    Raises
    ------
    dagster.Failure
        If there is none.
    """
    from runstart.scans import load_current

    store = object_store.open()
    result = load_current(store, microscope, scan)
    if result is None:
        raise dg.Failure(f"Scan {scan} of {microscope.name} has no result.", allow_retries=False)
    counted = result.objects.get("counted.h5")
    nexus = store.get(result.objects["scan.nxs"]).data
    return result, nexus, None if counted is None else store.get(counted).data


def _find_plan_of_run(context: dg.OpExecutionContext, work: "ScanWork") -> "Plan | None":
    """Return the plan that this run, or the one that it retries, has made for its raw scan: its account is shown there."""
    from runstart.scans import find_plan

    key = scan_asset_key(work.microscope, RAW_SCAN)
    wanted = dg.AssetRecordsFilter(asset_key=key, asset_partitions=[context.partition_key])
    run = context.run
    for record in context.instance.fetch_materializations(wanted, limit=1).records:
        made = record.asset_materialization
        if made is None or record.run_id not in {run.run_id, run.parent_run_id, run.root_run_id}:
            continue
        told = made.metadata.get("plan")
        return None if told is None else find_plan(work, str(told.value))
    return None


def _frame_bytes(plan: "Plan") -> int:
    import numpy as np

    rows, columns = plan.header.frame_shape
    return rows * columns * np.dtype(plan.header.dtype).itemsize
