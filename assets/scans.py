"""Scans: for each microscope assets whose partitions are its scans, from raw frames to maps, with their checks and job.

All but the raw scan are made by one graph: a step plans the batches, one step processes each (in a pod of its own on a
cluster), and one merges them. The operations carry their pods' resources themselves, so that materializing from the UI
places them as the job does.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import dagster as dg

from ops.errors import told_to_dagster
from ops.scan_checks import judge_account, judge_agreement, judge_completeness
from ops.scan_following import define_following_job
from ops.scan_metadata import describe_plan
from ops.scan_processing import (
    RAW_SCAN,
    at_work,
    define_merge_op,
    define_plan_op,
    define_process_op,
    load_result,
    raw_data_version,
    scan_asset_key,
)
from ops.tags import BATCH, KIND_TAG
from resources import ObjectStoreResource, ScansResource
from runstart.source_digest import library_version

if TYPE_CHECKING:
    from runstart.instruments import Access
    from runstart.microscopes import Microscope

MICROSCOPE_TAG = "runstart/microscope"
OWNERS = ["team:microscopists"]
SOURCES = ("frames", "frame_files", "scans")  # of the library, on which results depend


class _Made(NamedTuple):
    """What is said of an asset that the graph makes."""

    needs: str
    kinds: tuple[str, ...]
    description: str


_MADE = {
    "counted_scan": _Made(
        RAW_SCAN,
        ("hdf5", "numba"),
        "Electron events of each frame: flat pixel indices (uint32), frames by scan position; `counted.h5` is in "
        "the layout of stempy. An electron is a pixel above the background and below the x-ray threshold that is "
        "strictly greater than all its neighbours.",
    ),
    "center_of_mass": _Made(
        RAW_SCAN,
        ("hdf5", "numba"),
        "Mean column and mean row of each scan position in pixels, float32, (2, scan rows, scan columns); NaN "
        "where no frame, or no electron, is.",
    ),
    "virtual_images": _Made(
        RAW_SCAN,
        ("hdf5", "numba"),
        "What each virtual detector has seen: electrons (or counts) per frame, float64, (scan rows, scan columns) "
        "for each; NaN where no frame is.",
    ),
    "phase": _Made(
        "center_of_mass",
        ("hdf5", "numpy"),
        "Phase integrated of the centre of mass, float32, (scan rows, scan columns): radians if the lengths are "
        "calibrated, else pixels times positions.",
    ),
    "diffraction_pattern": _Made(
        RAW_SCAN,
        ("hdf5", "numba"),
        "Sum of all frames: electrons (or counts), uint64 (float64 for float32 frames), (rows, columns) of a frame after "
        "binning.",
    ),
}


@dataclass(frozen=True)
class Scans:
    """What Dagster knows of one microscope's scans.

    Attributes
    ----------
    microscope : Microscope
        Whose.
    assets : tuple of AssetsDefinition
        The raw scan, and the graph of all that is made of it.
    checks : tuple of AssetChecksDefinition
        Those that are steps of their own.
    job : job
        Processes scans that are finished.
    live_job : JobDefinition
        Follows scans that go on.
    """

    microscope: "Microscope"
    assets: tuple[dg.AssetsDefinition, ...]
    checks: tuple[dg.AssetChecksDefinition, ...]
    job: Any  # Dagster does not export the type of what define_asset_job returns
    live_job: dg.JobDefinition

    @property
    def asset_keys(self) -> frozenset[dg.AssetKey]:
        """Keys of all assets."""
        return frozenset(key for each in self.assets for key in each.keys)

    @property
    def job_names(self) -> frozenset[str]:
        """Names of all jobs."""
        return frozenset((self.job.name, self.live_job.name))


def scan_partitions(microscope_name: str) -> dg.DynamicPartitionsDefinition:
    """Return the partitions of a microscope: one for each scan."""
    return dg.DynamicPartitionsDefinition(name=f"scans_{microscope_name}")


def scan_job_name(microscope_name: str) -> str:
    """Return the name of the job that processes a microscope's scans."""
    return f"scan_{microscope_name}"


def scan_assets(microscope: "Microscope") -> tuple[str, ...]:
    """Return the names of what is made of a microscope's raw scans: counted ones only where electrons are counted."""
    return tuple(name for name in _MADE if name != "counted_scan" or microscope.recipe.counting is not None)


def define_scans(microscope: "Microscope", access: "Access | None" = None) -> Scans:
    """Return assets, checks and jobs of one microscope; `access` says how the Kafka cluster of its streams is entered."""
    from runstart.instruments import Access

    partitions = scan_partitions(microscope.name)
    assets = (_define_raw_scan(microscope, partitions), _define_graph(microscope, partitions))
    job = dg.define_asset_job(
        scan_job_name(microscope.name),
        selection=dg.AssetSelection.assets(*assets),
        tags={KIND_TAG: BATCH, MICROSCOPE_TAG: microscope.name},
        description=(
            f"Processes scans of {microscope.title or microscope.name} in batches of "
            f"{microscope.batch_bytes / 2**20:,.0f} MiB; the result is the same, bit for bit, whatever the batches."
        ),
    )
    live_job = define_following_job(
        microscope,
        partitions,
        needs={name: _MADE[name].needs for name in scan_assets(microscope)},
        access=access or Access(),
        tags={MICROSCOPE_TAG: microscope.name},
    )
    return Scans(microscope, assets, (_define_agreement_check(microscope, partitions),), job, live_job)


def _define_raw_scan(microscope: "Microscope", partitions: dg.DynamicPartitionsDefinition) -> dg.AssetsDefinition:
    key = scan_asset_key(microscope, RAW_SCAN)
    checks = [
        dg.AssetCheckSpec(
            "frames_add_up",
            asset=key,
            blocking=True,
            partitions_def=partitions,
            description="Every stored frame is in exactly one row of the account: seen, duplicate, unplaced or damaged.",
        ),
        dg.AssetCheckSpec(
            "complete",
            asset=key,
            partitions_def=partitions,
            description=f"Not more than {microscope.missing_fraction:.2%} of the frames are missing.",
        ),
    ]

    @dg.asset(
        key=key,
        partitions_def=partitions,
        group_name=f"scans_{microscope.name}",
        kinds={"file", "numpy"},
        owners=OWNERS,
        code_version=library_version(*SOURCES),
        check_specs=checks,
        description=(
            f"Scans of {microscope.title or microscope.name} as they arrive: (scan rows, scan columns) positions, at "
            "each one frame or several of (rows, columns) pixels. Looked at are header and slots; the account says "
            "what became of every frame, and the plan how the batches will be."
        ),
        metadata={
            "recipe": dg.MetadataValue.json(microscope.recipe.model_dump(mode="json", exclude_none=True)),
            "scans": microscope.scans,
            "calibration": dg.MetadataValue.json(microscope.calibration.model_dump(exclude_none=True)),
        },
    )
    def raw_scan(
        context: dg.AssetExecutionContext, object_store: ObjectStoreResource, scans: ScansResource
    ) -> dg.MaterializeResult:  # type: ignore[type-arg]  # Dagster reads the annotation
        from runstart.scans import plan_scan

        with at_work(context, microscope, object_store, scans) as work:
            plan = plan_scan(work)
            metadata = describe_plan(plan, work.calibrated(plan.header))
        return dg.MaterializeResult(
            metadata=metadata,
            data_version=raw_data_version(plan),
            check_results=[
                judge_account(plan.accounting, key),
                judge_completeness(plan.accounting, microscope, key),
            ],
        )

    return raw_scan


def _define_graph(microscope: "Microscope", partitions: dg.DynamicPartitionsDefinition) -> dg.AssetsDefinition:
    names = scan_assets(microscope)
    made = {name: _MADE[name] for name in names}
    plan, process = define_plan_op(microscope), define_process_op(microscope)
    merge = define_merge_op(microscope, names)

    @dg.graph(
        name=f"process_scan_{microscope.name}",
        ins={RAW_SCAN: dg.GraphIn()},
        out={name: dg.GraphOut() for name in names},
        description=f"Processes a scan of {microscope.title or microscope.name} in batches.",
    )
    def process_scan(raw_scan: Any) -> Mapping[str, Any]:
        merged = merge(plan(raw_scan).map(process).collect())
        return {name: getattr(merged, name) for name in names}

    return dg.AssetsDefinition.from_graph(
        process_scan,
        keys_by_input_name={RAW_SCAN: scan_asset_key(microscope, RAW_SCAN)},
        keys_by_output_name={name: scan_asset_key(microscope, name) for name in names},
        internal_asset_deps={name: {scan_asset_key(microscope, each.needs)} for name, each in made.items()},
        partitions_def=partitions,
        group_name=f"scans_{microscope.name}",
        descriptions_by_output_name={name: each.description for name, each in made.items()},
        tags_by_output_name={
            name: {f"dagster/kind/{kind}": "" for kind in each.kinds} for name, each in made.items()
        },
        owners_by_output_name=dict.fromkeys(names, OWNERS),
        code_versions_by_output_name=dict.fromkeys(names, library_version(*SOURCES)),
    )


def _define_agreement_check(
    microscope: "Microscope", partitions: dg.DynamicPartitionsDefinition
) -> dg.AssetChecksDefinition:
    key = scan_asset_key(microscope, "center_of_mass")

    @dg.asset_check(
        asset=key,
        name="counts_agree",
        blocking=True,
        partitions_def=partitions,
        description="The stored maps hold exactly the frames that the account says were seen, the diffraction "
        "pattern exactly the electrons that were counted, and the stored content has the digest that was published.",
    )
    def counts_agree(
        context: dg.AssetCheckExecutionContext, object_store: ObjectStoreResource
    ) -> dg.AssetCheckResult:
        from runstart.scans import find_contradictions

        with told_to_dagster(context.retry_number):
            scan = context.partition_key
            result, nexus, counted = load_result(microscope, object_store, scan)
            found = find_contradictions(result, nexus, counted, is_compensated=_is_compensated(microscope, scan))
        return judge_agreement(found, key)

    return counts_agree


def _is_compensated(microscope: "Microscope", scan: str) -> bool:
    compensation = microscope.beam_compensation
    return compensation is not None and compensation.vacuum_scan != scan
