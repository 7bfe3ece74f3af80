"""Follows a scan that goes on inside one Dagster step, and tells its assets and checks as the batch job does."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg

from ops.asset_events import AssetCheckEvaluation, newest_materialization, version_tags
from ops.scan_checks import judge_account, judge_agreement, judge_completeness
from ops.scan_metadata import describe_plan, describe_result
from ops.scan_pods import following_pod
from ops.scan_processing import RAW_SCAN, at_work, load_result, raw_data_version, scan_asset_key
from ops.tags import BATCH, K8S_CONFIG_TAG, KIND_TAG
from resources import KafkaResource, ObjectStoreResource, ScansResource

if TYPE_CHECKING:
    from runstart.instruments import Access
    from runstart.microscopes import Microscope
    from runstart.scans import ScanReporter, ScanResult, ScanWork

COUNTED_BY = "center_of_mass"  # the asset whose check compares maps and account


def live_scan_job_name(microscope_name: str) -> str:
    """Return the name of the job that follows a microscope's scans."""
    return f"live_scan_{microscope_name}"


def define_following_job(
    microscope: "Microscope",
    partitions_def: dg.DynamicPartitionsDefinition,
    *,
    needs: Mapping[str, str],
    access: "Access",
    tags: Mapping[str, str],
) -> dg.JobDefinition:
    """Return the job that follows scans of a microscope; it runs in process, wherever other jobs run.

    Parameters
    ----------
    microscope : Microscope
        Whose scans.
    partitions_def : DynamicPartitionsDefinition
        One partition for each scan.
    needs : mapping of str to str
        Names of the assets that are made of raw scans, and what each is made of.
    access : Access
        How the Kafka cluster of streamed scans is entered.
    tags : mapping of str to str
        Of its runs.
    """
    title = microscope.title or microscope.name

    @dg.op(
        name=f"follow_{microscope.name}",
        out=dg.Out(dg.Nothing),
        description=f"Counts and maps a scan of {title} while it is written or streamed; shows it each second.",
    )
    def follow(
        context: dg.OpExecutionContext,
        object_store: ObjectStoreResource,
        scans: ScansResource,
        kafka: KafkaResource,
    ) -> None:
        with at_work(context, microscope, object_store, scans) as work:
            _follow(context, work, kafka, access)
            shortcomings = list(_tell_assets(context, work, needs, object_store))
        if shortcomings:
            raise dg.Failure("\n".join(shortcomings), allow_retries=False)

    @dg.job(
        name=live_scan_job_name(microscope.name),
        partitions_def=partitions_def,
        executor_def=dg.in_process_executor,
        tags={KIND_TAG: BATCH, K8S_CONFIG_TAG: following_pod(microscope), **tags},
        description=(
            f"Follows a scan of {title} while it goes on, and publishes its result as soon as it has ended: the same, bit "
            "for bit, as that of the job that processes finished scans."
        ),
    )
    def live_scan() -> None:
        follow()

    return live_scan


def _follow(
    context: dg.OpExecutionContext, work: "ScanWork", kafka: KafkaResource, access: "Access"
) -> "ScanResult":
    from ops.scan_reporting import DagsterScanReporter

    try:
        with DagsterScanReporter(context, work) as reporter:
            result = _follow_to_the_end(work, reporter, kafka, access)
            reporter.finish(result)
    except dg.DagsterExecutionInterruptedError:
        context.log.warning(
            f"The run was terminated: scan {work.record.scan} has no result of it. Launch the job "
            f"scan_{work.microscope.name} for this partition to process what is there of the scan, or this job again to "
            "follow it from its beginning."
        )
        raise
    if result.is_partial:
        context.log.warning(f"The scan was broken off: its result covers {result.accounting.covered:.2%} of it.")
    return result


def _follow_to_the_end(
    work: "ScanWork", reporter: "ScanReporter", kafka: KafkaResource, access: "Access"
) -> "ScanResult":
    stream = work.record.stream
    if stream is None:
        from runstart.scans import follow_scan

        return follow_scan(work, reporter)
    from runstart.scans import follow_stream

    return follow_stream(work, kafka.clusters[str(stream["kafka"])], reporter, access=access)


def _tell_assets(
    context: dg.OpExecutionContext, work: "ScanWork", needs: Mapping[str, str], object_store: ObjectStoreResource
) -> Iterator[str]:
    """Tell materializations and checks of all assets of the scan; yield what fails the run."""
    from runstart.scans import find_contradictions, make_plan

    microscope, scan = work.microscope, work.record.scan
    with work.open() as source:
        plan = make_plan(work, source)
    result, nexus, counted = load_result(microscope, object_store, scan)
    raw = scan_asset_key(microscope, RAW_SCAN)
    versions = {RAW_SCAN: raw_data_version(plan).value, **dict.fromkeys(needs, result.digest)}
    metadata: dict[str, dict[str, Any]] = {RAW_SCAN: describe_plan(plan, work.calibrated(plan.header))}
    metadata |= {asset: describe_result(result, asset, work.store) for asset in needs}
    for asset, version in versions.items():
        need = needs.get(asset)
        made_of = {} if need is None else {scan_asset_key(microscope, need): versions[need]}
        context.log_event(
            dg.AssetMaterialization(
                asset_key=scan_asset_key(microscope, asset),
                partition=scan,
                metadata=metadata[asset],
                tags=version_tags(version, plan.code_version, made_of),
            )
        )
    checks = [
        (judge_account(plan.accounting, raw), True),
        (judge_completeness(plan.accounting, microscope, raw, is_broken_off=result.is_partial), False),
        (
            judge_agreement(find_contradictions(result, nexus, counted), scan_asset_key(microscope, COUNTED_BY)),
            True,
        ),
    ]
    for verdict, blocking in checks:
        evaluation = _evaluation(context, verdict, scan, blocking)
        context.log_event(evaluation)  # type: ignore[arg-type]  # its annotation forgets these
        if blocking and not verdict.passed:
            yield f"{evaluation.check_name}: {verdict.description}"


def _evaluation(
    context: dg.OpExecutionContext, verdict: dg.AssetCheckResult, scan: str, blocking: bool
) -> AssetCheckEvaluation:
    if verdict.asset_key is None or verdict.check_name is None:
        raise ValueError("a verdict names asset and check")
    return AssetCheckEvaluation(
        asset_key=verdict.asset_key,
        check_name=verdict.check_name,
        passed=verdict.passed,
        metadata=dict(verdict.metadata or {}),
        severity=verdict.severity,
        description=verdict.description,
        target_materialization_data=newest_materialization(context.instance, verdict.asset_key, scan),
        blocking=blocking,
        partition=scan,
    )
