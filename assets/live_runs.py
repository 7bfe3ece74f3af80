"""Live runs: for each instrument one asset whose partitions are its runs, with its checks and its job."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dagster as dg

from ops import reduce_live
from ops.live_pods import live_pod
from ops.metadata import describe_result, load_pictures
from ops.tags import BATCH, K8S_CONFIG_TAG, KIND_TAG
from resources import EpicsResource, KafkaResource, LauncherResource, ObjectStoreResource

if TYPE_CHECKING:
    from runstart.instruments import Access, Instrument
    from runstart.live import Result
    from runstart.storage import ObjectStore

INSTRUMENT_TAG = "runstart/instrument"


@dataclass(frozen=True)
class LiveRuns:
    """What Dagster knows of one instrument's live runs."""

    asset: dg.AssetsDefinition
    checks: tuple[dg.AssetChecksDefinition, ...]
    job: Any  # Dagster does not export the type of what define_asset_job returns


def live_run_key(instrument_name: str) -> dg.AssetKey:
    """Return the asset key of an instrument's live runs."""
    return dg.AssetKey([instrument_name, "live_run"])


def live_run_partitions(instrument_name: str) -> dg.DynamicPartitionsDefinition:
    """Return the partitions of an instrument's live runs: one for each run."""
    return dg.DynamicPartitionsDefinition(name=f"live_runs_{instrument_name}")


def live_reduction_job_name(instrument_name: str) -> str:
    """Return the name of the job that reduces an instrument's runs."""
    return f"live_reduction_{instrument_name}"


def define_live_runs(instrument: "Instrument", access: "Access") -> LiveRuns:
    """Return asset, checks and job of one instrument; `access` says how its Kafka cluster is entered."""
    asset = _define_asset(instrument, access)
    job = dg.define_asset_job(
        live_reduction_job_name(instrument.name),
        selection=dg.AssetSelection.assets(asset),
        executor_def=dg.in_process_executor,
        tags={KIND_TAG: BATCH, INSTRUMENT_TAG: instrument.name, K8S_CONFIG_TAG: live_pod(instrument)},
        description=(
            f"Reduces runs of {instrument.name}: live when the sensor starts it, as a replay of the frozen "
            "offsets when launched by hand or as a backfill."
        ),
    )
    checks = [_define_ledger_check(instrument), _define_completeness_check(instrument)]
    if instrument.script is not None:
        checks.append(_define_script_check(instrument))
    return LiveRuns(asset, tuple(checks), job)


def _define_asset(instrument: "Instrument", access: "Access") -> dg.AssetsDefinition:
    @dg.asset(
        key=live_run_key(instrument.name),
        partitions_def=live_run_partitions(instrument.name),
        group_name="live_reduction",
        kinds={"kafka", "hdf5"},
        owners=["team:instrument-scientists"],
        # The job's tag is for its run, this one for a step that the UI starts by materializing the asset.
        op_tags={K8S_CONFIG_TAG: live_pod(instrument)},
        description=(
            f"Runs of {instrument.title or instrument.name}, counted live from topic "
            f"`{instrument.topics.events}`: TOF spectrum, detector pictures, event rate, proton charge and the "
            "ledger that says what became of every event. While a run is live its observations show it grow; "
            "a finished run is a NeXus file. Reducing a run again replays its frozen offsets and gives the "
            "same result, bit for bit."
        ),
        metadata={
            "topics": dg.MetadataValue.json(instrument.topics.model_dump()),
            "banks": dg.MetadataValue.json({bank.name: list(bank.shape) for bank in instrument.banks}),
            "tof": dg.MetadataValue.json(instrument.tof.model_dump()),
            "views": ", ".join(instrument.views),
        },
    )
    def live_run(
        context: dg.AssetExecutionContext,
        kafka: KafkaResource,
        object_store: ObjectStoreResource,
        launcher: LauncherResource,
        epics: EpicsResource,
    ) -> dg.MaterializeResult[None]:
        store = object_store.open()
        epics.apply()
        result = reduce_live(context, instrument, kafka, store, launcher.open(), access)
        pictures = load_pictures(store, result)
        return dg.MaterializeResult(
            metadata=describe_result(result, pictures), data_version=dg.DataVersion(result.digest)
        )

    return live_run


def _define_ledger_check(instrument: "Instrument") -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=live_run_key(instrument.name),
        name="ledger_adds_up",
        blocking=True,
        description="Every event that was read is in exactly one column of the ledger, and the stored views "
        "hold exactly the events that the ledger counts.",
    )
    def ledger_adds_up(
        context: dg.AssetCheckExecutionContext, object_store: ObjectStoreResource
    ) -> dg.AssetCheckResult:
        from runstart.live import find_contradictions

        store = object_store.open()
        found = []
        for partition_key, result in _results(context, instrument, store):
            data = store.get(f"{result.folder}/run.nxs").data
            found += [f"{partition_key}: {text}" for text in find_contradictions(data, result.digest)]
        return dg.AssetCheckResult(
            passed=not found,
            severity=dg.AssetCheckSeverity.ERROR,
            description="\n".join(found) or "Ledger, views and digest agree.",
        )

    return ledger_adds_up


def _define_completeness_check(instrument: "Instrument") -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=live_run_key(instrument.name),
        name="complete",
        description="No gap in message ids, nothing lost to retention, nothing undecodable, nothing late, and "
        "the instrument closed the run.",
    )
    def complete(context: dg.AssetCheckExecutionContext, object_store: ObjectStoreResource) -> dg.AssetCheckResult:
        found = [
            f"{partition_key}: {text}"
            for partition_key, result in _results(context, instrument, object_store.open())
            for text in result.shortcomings
        ]
        return dg.AssetCheckResult(
            passed=not found,
            severity=dg.AssetCheckSeverity.WARN,
            description="\n".join(found) or "Complete.",
            metadata={"shortcomings": len(found)},
        )

    return complete


def _define_script_check(instrument: "Instrument") -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=live_run_key(instrument.name),
        name="script_succeeded",
        description="The reduction script was fetched, and executed on the finished run without an error.",
    )
    def script_succeeded(
        context: dg.AssetCheckExecutionContext, object_store: ObjectStoreResource
    ) -> dg.AssetCheckResult:
        found = [
            f"{partition_key}: {result.script_error}"
            for partition_key, result in _results(context, instrument, object_store.open())
            if result.script_error
        ]
        return dg.AssetCheckResult(
            passed=not found,
            severity=dg.AssetCheckSeverity.WARN,
            description="\n".join(found) or "Executed without an error.",
        )

    return script_succeeded


def _results(
    context: dg.AssetCheckExecutionContext, instrument: "Instrument", store: "ObjectStore"
) -> Iterator[tuple[str, "Result"]]:
    """Yield the current results of the runs that this Dagster run reduced."""
    from runstart.live import load_result, read_head

    for partition_key in _partition_keys(context):
        current = read_head(store, instrument.name, partition_key).current
        if current is None:
            raise dg.Failure(f"Run {partition_key} of {instrument.name} has no result.", allow_retries=False)
        yield partition_key, load_result(store, current)


def _partition_keys(context: dg.AssetCheckExecutionContext) -> list[str]:
    key = context.run.tags.get("dagster/partition")
    if key is None:
        raise dg.Failure(
            "This check looks at the run that has just been reduced. Launch it together with its asset, "
            "for one partition.",
            allow_retries=False,
        )
    return [key]
