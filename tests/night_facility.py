"""Nights of a site with tiny exposures, and a code location that reduces them, in this process.

`NightHouse` has a Dagster instance of its own; ticks are evaluated as the daemon does, with a cursor that is kept.
"""

from __future__ import annotations

import contextlib
import shutil
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.schedule_definition import ScheduleExecutionData
from dagster._core.definitions.sensor_definition import SensorExecutionData
from dagster_kit import DagsterFacility

from definitions import build_definitions
from resources import DataOperationsResource
from runstart.nights import (
    NightWork,
    Record,
    Site,
    expected_made_of,
    load_record,
    make_night,
    read_sites,
    save_record,
)
from runstart.operation_kit import Workplace
from runstart.simulators.night import NightPlan, simulate_night
from runstart.storage import FileStore

SITE = "HILL"
FIRST = date(2026, 1, 1)
ASSETS = (
    "exposures",
    "master_bias",
    "master_dark",
    "master_flat",
    "calibrated",
    "stacks",
    "color_images",
    "source_catalog",
)
BEGIN, END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
# An object store that nobody serves.
NOBODY_THERE: Mapping[str, str] = {
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
    "AWS_ACCESS_KEY_ID": "nobody",
    "AWS_SECRET_ACCESS_KEY": "nothing",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_MAX_ATTEMPTS": "1",
}

_SITES = """
[sites.{site}]
time_zone = "{time_zone}"
first_night = {first_night}
exposures = "file:{exposures}"
settle_seconds = {settle_seconds}
morning = "{morning}"
limits = {{ biases = 2, darks = 1, flats = 2 }}
colors = {{ gp = [0, 80, 255], rp = [255, 120, 0] }}
"""
_TINY: Mapping[str, Any] = {
    "shape": (96, 128),
    "filters": ("rp",),
    "objects": 1,
    "exposures": 1,
    "biases": 2,
    "darks": 1,
    "flats": 2,
    "exposure_time_s": 120.0,
}
BIASES_ONLY: Mapping[str, Any] = {"darks": 0, "flats": 0, "exposures": 0}


def night(number: int) -> str:
    """Return a night by its number; 0 is the site's first."""
    return (FIRST + timedelta(days=number)).isoformat()


@dataclass
class NightPlace:
    """A site's folder of exposures, its `sites.toml`, and the environment of its code location."""

    folder: Path
    time_zone: str = "UTC"
    morning: str = "0 14 * * *"
    first_night: str = FIRST.isoformat()
    settle_seconds: float = 0.0
    more: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.exposures = self.folder / "exposures"
        self.exposures.mkdir()
        self.sites_file.write_text(
            _SITES.format(
                site=SITE,
                time_zone=self.time_zone,
                first_night=self.first_night,
                exposures=self.exposures,
                settle_seconds=self.settle_seconds,
                morning=self.morning,
            )
        )
        (self.folder / "instruments.toml").touch()

    @property
    def sites_file(self) -> Path:
        return self.folder / "sites.toml"

    @property
    def store(self) -> FileStore:
        return FileStore(self.folder / "store")

    @property
    def site(self) -> Site:
        return read_sites(self.sites_file)[SITE]

    @property
    def environ(self) -> dict[str, str]:
        return {
            "RUNSTART_SITES": str(self.sites_file),
            "RUNSTART_INSTRUMENTS": str(self.folder / "instruments.toml"),
            "RUNSTART_OBJECT_STORE": f"file:{self.store.root}",
            "RUNSTART_FILE_CACHE": str(self.folder / "cache"),
            "RUNSTART_FITS_FOLDERS": f"hill={self.exposures}",
            **self.more,
        }

    def take(self, of: str, **plan: Any) -> list[str]:
        """Take a tiny night's exposures, and return their names."""
        return [path.name for path in self._simulate(self.exposures, of, plan)]

    def take_elsewhere(self, of: str, **plan: Any) -> list[Path]:
        """Take exposures that have not arrived yet, and return their paths."""
        return self._simulate(self.folder / "elsewhere", of, plan)

    def _simulate(self, folder: Path, of: str, plan: Mapping[str, Any]) -> list[Path]:
        taken: list[Path] = []
        asked = NightPlan(date=date.fromisoformat(of), site=SITE, **{"time_zone": self.time_zone, **_TINY, **plan})
        simulate_night(folder, asked, truth_folder=self.folder / "truth", on_exposure=taken.append)
        return taken

    def move_to(self, url: str) -> None:
        """Have exposures arrive elsewhere."""
        text = self.sites_file.read_text()
        self.sites_file.write_text(text.replace(f"file:{self.exposures}", url))

    def record(self, of: str, asset: str) -> Record | None:
        return load_record(self.store, self.site, of, asset)

    def digests(self, of: str) -> dict[str, str]:
        """Return the digest of each asset of a night that was made."""
        records = {asset: self.record(of, asset) for asset in ASSETS}
        return {asset: record.digest for asset, record in records.items() if record is not None}

    def up_to_date(self, of: str) -> set[str]:
        """Return the assets of a night that are made of what lies there now."""
        work = NightWork(self.site, of, self._workplace(self.store))
        found = set()
        for asset in ASSETS:
            record = work.find_record(asset)
            if record is None or record.made_of != expected_made_of(work, asset, record.code_version):
                break
            found.add(asset)
        return found

    def make_older(self, of: str, asset: str) -> None:
        """Have an asset of a night made by an older version of the code."""
        record = self.record(of, asset)
        assert record is not None
        older = "0-0.0.1"
        made_of = expected_made_of(NightWork(self.site, of, self._workplace(self.store)), asset, older)
        save_record(self.store, self.site, replace(record, code_version=older, made_of=made_of))

    def undisturbed(self, nights: Sequence[str]) -> dict[str, dict[str, str]]:
        """Return the digests of nights that are made one after the other in another store, without Dagster."""
        workplace = self._workplace(FileStore(self.folder / "undisturbed"))
        return {
            of: {asset: record.digest for asset, record in make_night(NightWork(self.site, of, workplace)).items()}
            for of in nights
        }

    def _workplace(self, store: FileStore) -> Workplace:
        environ = {**self.environ, "RUNSTART_FILE_CACHE": str(self.folder / "other-cache")}
        return DataOperationsResource.from_environment(environ, str(self.sites_file)).open(store)


class NightHouse:
    """A place, its definitions, and a Dagster instance: jobs and ticks without a daemon."""

    def __init__(self, place: NightPlace, instance: dg.DagsterInstance) -> None:
        self.place = place
        self.instance = instance

    @cached_property
    def definitions(self) -> dg.Definitions:
        return build_definitions(self.place.environ)

    def reduce(
        self,
        first: str,
        last: str | None = None,
        *,
        assets: Sequence[str] | None = None,
        job: str = f"night_{SITE}",
    ) -> dg.ExecuteInProcessResult:
        """Run a job over a range of nights, as one run of a backfill does."""
        return self.definitions.resolve_job_def(job).execute_in_process(
            instance=self.instance,
            raise_on_error=False,
            tags={BEGIN: first, END: last or first},
            asset_selection=None if assets is None else [dg.AssetKey([SITE, asset]) for asset in assets],
        )

    def launch(self, request: dg.RunRequest, job: str) -> dg.ExecuteInProcessResult:
        """Run what a sensor or schedule has requested."""
        return self.definitions.resolve_job_def(job).execute_in_process(
            instance=self.instance,
            raise_on_error=False,
            partition_key=request.partition_key,
            tags=request.tags,
        )

    def tick_sensor(self, name: str, cursor: str | None = None) -> SensorExecutionData:
        """Evaluate a sensor as a tick does."""
        defs = self.definitions
        with dg.build_sensor_context(
            self.instance,
            cursor,
            repository_def=defs.get_repository_def(),
            resources=defs.resources,
        ) as context:
            return defs.resolve_sensor_def(name).evaluate_tick(context)

    def tick_schedule(self, name: str, at: datetime) -> ScheduleExecutionData:
        """Evaluate a schedule as a tick does."""
        defs = self.definitions
        with dg.build_schedule_context(
            self.instance, at, repository_def=defs.get_repository_def(), resources=defs.resources
        ) as context:
            return defs.resolve_schedule_def(name).evaluate_tick(context)


@contextlib.contextmanager
def open_house(folder: Path, *, on_disk: bool = False, **place: Any) -> Iterator[NightHouse]:
    """Give a house without nights; its Dagster is in memory, or on disk as schedules need it."""
    instances = dg.instance_for_test() if on_disk else dg.DagsterInstance.ephemeral()
    with instances as instance, pytest.MonkeyPatch.context() as patch:
        made = NightPlace(folder, **place)
        for variable, value in made.environ.items():
            patch.setenv(variable, value)
        yield NightHouse(made, instance)


@contextlib.contextmanager
def open_observatory(folder: Path, *ticking: str, **place: Any) -> Iterator[tuple[NightPlace, DagsterFacility]]:
    """Give a place and its facility for the daemon, with a code location in which only these things tick."""
    made = NightPlace(folder / "place", **place)
    environ = {**made.environ, "NIGHT_TEST_TICKING": " ".join(ticking)}
    broker = "127.0.0.1:9"  # without an instrument nobody asks for it
    store = environ["RUNSTART_OBJECT_STORE"]
    with DagsterFacility(folder / "facility", "", broker, store, environ, module="night_definitions") as facility:
        yield made, facility


def made_by_night(result: dg.ExecuteInProcessResult) -> dict[str, list[str]]:
    """Return which assets of each night a run has materialized, in order."""
    made: dict[str, list[str]] = defaultdict(list)
    for event in result.get_asset_materialization_events():
        assert event.asset_key is not None
        assert event.partition is not None
        made[event.partition].append(event.asset_key.path[-1])
    return dict(made)


def failure_of(result: dg.ExecuteInProcessResult) -> str:
    """Return the text of the failure of a run's step."""
    (event,) = result.filter_events(lambda event: event.is_step_failure)
    data = event.step_failure_data.user_failure_data
    assert data is not None
    return data.description or ""


def put_slowly(source: Path, target: Path) -> Iterator[None]:
    """Write a file in two halves: the first at once, the second when it is asked for more."""
    data = source.read_bytes()
    with target.open("wb") as file:
        file.write(data[: len(data) // 2])
        file.flush()
        yield
        file.write(data[len(data) // 2 :])


def remove(folder: Path) -> None:
    """Remove a folder with all that is in it."""
    shutil.rmtree(folder)
