"""Runstart's one Dagster code location.

The environment says which deployment this is, once:

RUNSTART_DEPLOYMENT
    `laptop` (the default: everything in process) or `cluster` (steps in pods of their own).
RUNSTART_POD_PENDING_S, RUNSTART_POD_ROOM_S, RUNSTART_POD_MEMORY_LIMIT
    How long pods may wait for their place, and most memory that those get which ran out of it: see `resources/pods`.
RUNSTART_INSTRUMENTS
    Path of instruments.toml; the one beside this file by default.
RUNSTART_ALERTS
    Path of alerts.toml; the one beside this file by default.
RUNSTART_SITES
    Path of sites.toml; the one beside this file by default. `RUNSTART_EXPOSURES` is the folder that relative
    folders of exposures are in.
RUNSTART_MICROSCOPES
    Path of microscopes.toml; the one beside this file, if there is one, by default. `RUNSTART_SCANS` is the folder that
    relative folders of scans are in.
RUNSTART_FOLLOW_EXPOSURES
    `no` leaves it to people to make what follows from new exposures; `yes` by default.
RUNSTART_OPERATIONS
    Packages with data operations of the facility's own, separated by commas.
RUNSTART_ARCHIVE_API, RUNSTART_FITS_FOLDERS, RUNSTART_FITS_URIS, RUNSTART_FILE_CACHE, RUNSTART_MEMORY_LIMIT, ...
    Where FITS files come from and what data operations may take: see `resources/data_operations.py`.
RUNSTART_OPERATORS
    Folders of the facility's own operators and, in their folder `pipelines`, pipelines, separated as in PATH.
RUNSTART_MOUNT_ROOTS, RUNSTART_OPERATOR_IMAGE, RUNSTART_OPERATOR_MEMORY, RUNSTART_SESSION_HUNG_S, ...
    What operators may see and use, and when a session counts as hung: see `resources/sessions.py`.
RUNSTART_LAUNCHER, RUNSTART_IMAGES, DOCKER_HOST
    Whether operators are processes or containers, which images may be run, and where: see `resources/launcher.py`.
RUNSTART_COMPUTE, RUNSTART_COMPUTE_FOLDER, nCPU, maxJobs, maxJobDuration, ...
    Where compute jobs run; compute.toml beside this file, if there is one, by default: see `resources/compute.py`.
RUNSTART_OBJECT_STORE
    `file:PATH` or `s3://BUCKET/PREFIX`; `file:` under `.runstart/store` by default.
RUNSTART_NIGHTLY_CRON, RUNSTART_PRUNING_CRON, RUNSTART_NIGHTS_AGAIN_CRON, RUNSTART_TIME_ZONE
    When runs are reduced again, when Dagster is pruned, and when nights that fell short are made again; 02:00, 04:00
    and 15:00 UTC by default.
RUNSTART_KAFKA
    Bootstrap servers of the Kafka cluster named `default`, over those in instruments.toml.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import dagster as dg

from assets import (
    Scans,
    define_live_runs,
    define_nights,
    define_operator_assets,
    define_pipeline_assets,
    define_probe_asset,
    define_scans,
    define_wrong_pipelines,
)
from ops import (
    define_compute_job,
    define_data_operations,
    define_operation_outputs,
    define_operator_jobs,
    define_pipeline_jobs,
    define_probe_job,
    load_pipelines,
)
from resources import (
    SHIPPED_OPERATORS,
    ComputeResource,
    DataOperationsResource,
    EpicsResource,
    KafkaResource,
    LauncherResource,
    ObjectStoreResource,
    ScansResource,
    SessionsResource,
    StepValuesIOManager,
)
from runstart.errors import Alert
from runstart.instruments import Access, Facility, read_instruments
from runstart.microscopes import Microscope, check_clusters, find_microscopes_file, read_microscopes
from runstart.nights import read_sites
from runstart.operation_kit import find_operations
from runstart.pipelines import find_pipelines
from runstart.specifications import find_operators, operators_folders
from sensors import (
    define_abandoned_runs_sensor,
    define_again_schedule,
    define_alerts_sensor,
    define_clean_up_sensor,
    define_compute_jobs_sensor,
    define_exposures_sensor,
    define_following_sensor,
    define_metrics_sensor,
    define_morning_schedule,
    define_nightly_reduction,
    define_pruning,
    define_run_pods_sensor,
    define_run_start_sensor,
    define_scan_announcements_sensor,
    define_scans_sensor,
    define_session_requests_sensor,
)

_logger = logging.getLogger(__name__)
_DEPLOYMENTS = ("laptop", "cluster")


def build_definitions(environ: Mapping[str, str]) -> dg.Definitions:
    """Return the definitions of a deployment.

    Parameters
    ----------
    environ : mapping of str to str
        The environment; see this module's text.

    Raises
    ------
    Alert
        If the deployment is unknown, or instruments.toml, sites.toml or microscopes.toml is wrong.
    """
    facility = read_instruments(_file(environ, "RUNSTART_INSTRUMENTS", "instruments.toml"), environ)
    live_runs = {
        name: define_live_runs(instrument, facility.clusters[instrument.kafka].access)
        for name, instrument in facility.instruments.items()
    }
    sensors = [
        define_run_start_sensor(
            cluster,
            [i for i in facility.instruments.values() if i.kafka == cluster.name],
            [live_runs[name] for name, i in facility.instruments.items() if i.kafka == cluster.name],
        )
        for cluster in facility.clusters.values()
        if any(i.kafka == cluster.name for i in facility.instruments.values())
    ]
    nightly = define_nightly_reduction(facility.instruments.values(), environ)
    sites_file = _file(environ, "RUNSTART_SITES", "sites.toml")
    nights = [define_nights(site) for site in read_sites(sites_file, environ).values()]
    operations = find_operations(environ)
    microscopes = _read_microscopes(environ)
    check_clusters(microscopes, facility.clusters)
    scans = [define_scans(each, _access(each, facility)) for each in microscopes]
    sessions = _define_sessions(environ)
    compute_job = define_compute_job()
    watched_jobs = [*operations, *(job.name for job in sessions.jobs), compute_job.name]
    pruning = define_pruning(
        facility.instruments.values(), environ, nights=nights, operations=watched_jobs, scans=scans
    )
    object_store = ObjectStoreResource.from_environment(environ)
    deployment = environ.get("RUNSTART_DEPLOYMENT", "laptop")
    return dg.Definitions(
        assets=[
            *(runs.asset for runs in live_runs.values()),
            *(each.assets for each in nights),
            *(asset for each in scans for asset in each.assets),
            *define_operation_outputs(operations.values()),
            *sessions.assets,
        ],
        asset_checks=[
            *(check for runs in live_runs.values() for check in runs.checks),
            *(check for each in scans for check in each.checks),
        ],
        jobs=[
            *(runs.job for runs in live_runs.values()),
            *(job for each in nights for job in (each.job, each.arrivals_job)),
            *(job for each in scans for job in (each.job, each.live_job)),
            *define_data_operations(operations.values()),
            *sessions.jobs,
            compute_job,
            nightly.job,
            pruning.job,
        ],
        schedules=[
            nightly.schedule,
            pruning.schedule,
            *(define_morning_schedule(each) for each in nights),
            *([define_again_schedule(nights, environ)] if nights else []),
        ],
        sensors=[
            *sensors,
            define_abandoned_runs_sensor(
                facility.instruments.values(), nights=nights, operations=watched_jobs, scans=scans
            ),
            define_clean_up_sensor(sessions.troubles),
            define_session_requests_sensor(sessions.probe_job),
            define_compute_jobs_sensor(compute_job),
            define_alerts_sensor(facility.instruments.values(), _file(environ, "RUNSTART_ALERTS", "alerts.toml")),
            define_metrics_sensor(),
            *(define_exposures_sensor(each) for each in nights),
            *(define_scans_sensor(each) for each in scans),
            *_announced(scans, facility),
            *([define_following_sensor(nights, environ)] if nights else []),
            *([define_run_pods_sensor()] if deployment == "cluster" else []),
        ],
        resources={
            "kafka": KafkaResource(
                clusters={name: cluster.bootstrap_servers for name, cluster in facility.clusters.items()},
                protocols={name: cluster.security_protocol for name, cluster in facility.clusters.items()},
            ),
            "compute": ComputeResource.from_environment(environ, Path(__file__).parent),
            "data_operations": DataOperationsResource.from_environment(environ, str(sites_file)),
            "epics": EpicsResource.from_environment(environ),
            "launcher": LauncherResource.from_environment(environ),
            "object_store": object_store,
            "scans": ScansResource.from_environment(environ),
            "sessions": SessionsResource.from_environment(environ),
            # Dagster's own would pickle into DAGSTER_HOME, which pods of a cluster can only read.
            "io_manager": StepValuesIOManager(object_store=object_store),
        },
        executor=_executor(deployment),
    )


@dataclass(frozen=True)
class _Sessions:
    """What Dagster knows of operators, pipelines and probes, and of those that were left out."""

    assets: list[dg.AssetSpec]
    jobs: list[dg.JobDefinition]
    probe_job: dg.JobDefinition
    troubles: list[str]


def _define_sessions(environ: Mapping[str, str]) -> _Sessions:
    """Return the jobs and assets of sessions; an operator or pipeline that is wrong does not hide the others."""
    folders = operators_folders(environ, SHIPPED_OPERATORS)
    troubles: list[str] = []
    operators = find_operators(folders, troubles)
    pipelines, wrong = load_pipelines(find_pipelines(folders), operators)
    probe_job = define_probe_job()
    jobs = [*define_operator_jobs(operators, troubles), *define_pipeline_jobs(pipelines), probe_job]
    assets = [
        *define_operator_assets(operators.values()),
        *define_pipeline_assets(pipelines),
        *define_wrong_pipelines(wrong),
        define_probe_asset(),
    ]
    troubles += wrong.values()
    for trouble in troubles:
        _logger.warning(" ".join(trouble.split()))
    return _Sessions(assets, jobs, probe_job, troubles)


def _file(environ: Mapping[str, str], variable: str, name: str) -> Path:
    """Return the file that a variable names, or the one beside this file."""
    return Path(environ.get(variable) or Path(__file__).with_name(name))


def _read_microscopes(environ: Mapping[str, str]) -> list[Microscope]:
    path = find_microscopes_file(environ, Path(__file__).parent)
    return [] if path is None else list(read_microscopes(path, environ).values())


def _announced(scans: Iterable[Scans], facility: Facility) -> Iterator[dg.SensorDefinition]:
    """Yield a sensor for each Kafka cluster on which scans are announced."""
    by_cluster: dict[str, list[Scans]] = {}
    for each in scans:
        if each.microscope.announcements is not None:
            by_cluster.setdefault(each.microscope.announcements.kafka, []).append(each)
    for name, announced in by_cluster.items():
        yield define_scan_announcements_sensor(facility.clusters[name], announced)


def _access(microscope: Microscope, facility: Facility) -> Access:
    """Return how the Kafka cluster is entered on which a microscope's scans are announced."""
    announced = microscope.announcements
    return Access() if announced is None else facility.clusters[announced.kafka].access


def _executor(deployment: str) -> dg.ExecutorDefinition:
    """Return what runs the steps of assets that are materialized from the UI."""
    if deployment == "laptop":
        return dg.in_process_executor
    if deployment == "cluster":
        from resources.pods import define_pod_executor

        return define_pod_executor()
    raise Alert(f"RUNSTART_DEPLOYMENT is {deployment!r}.", f"Set it to one of: {', '.join(_DEPLOYMENTS)}.")


defs = build_definitions(os.environ)
