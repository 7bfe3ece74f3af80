"""A data operation as a Dagster job: launched, shown, cached, and failed as a user sees it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pytest
from astropy.io import fits

from definitions import build_definitions
from runstart.operation_kit.following import read_note
from runstart.storage import FileStore

ROOT = Path(__file__).resolve().parents[2]
Run = Callable[..., dg.ExecuteInProcessResult]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three images, 1, 2 and 9 everywhere, and a file that is no FITS file."""
    folder = tmp_path_factory.mktemp("images")
    for name, value in (("a", 1), ("b", 2), ("c", 9)):
        fits.PrimaryHDU(np.full((20, 30), value, np.float32)).writeto(folder / f"{name}.fits")
    (folder / "broken.fits").write_bytes(b"nothing of the kind")
    return folder


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory, folder: Path) -> tuple[dg.Definitions, Path]:
    """The definitions, and the folder of their object store."""
    place = tmp_path_factory.mktemp("deployment")
    environ = {
        "RUNSTART_INSTRUMENTS": str(ROOT / "instruments.toml"),
        "RUNSTART_SITES": str(ROOT / "sites.toml"),
        "RUNSTART_OBJECT_STORE": f"file:{place / 'store'}",
        "RUNSTART_FITS_FOLDERS": f"images={folder}",
        "RUNSTART_FILE_CACHE": str(place / "cache"),
    }
    return build_definitions(environ), place / "store"


@pytest.fixture
def store(deployment: tuple[dg.Definitions, Path]) -> Iterator[FileStore]:
    yield FileStore(deployment[1])
    shutil.rmtree(deployment[1], ignore_errors=True)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as instance:
        yield instance


@pytest.fixture
def launch(deployment: tuple[dg.Definitions, Path], store: FileStore, instance: dg.DagsterInstance) -> Run:
    """Launches a job with a config as the Launchpad would."""

    def run(job: str, config: Mapping[str, Any], tags: dict[str, str] | None = None) -> dg.ExecuteInProcessResult:
        return (
            deployment[0]
            .resolve_job_def(job)
            .execute_in_process(run_config=config, instance=instance, raise_on_error=False, tags=tags)
        )

    return run


def materializations(instance: dg.DagsterInstance, slug: str) -> list[dg.AssetMaterialization]:
    key = dg.AssetKey(["data_operations", slug])
    records = instance.fetch_materializations(key, limit=100).records
    return [record.asset_materialization for record in reversed(records) if record.asset_materialization]


def metadata_of(result: dg.ExecuteInProcessResult) -> Mapping[str, dg.MetadataValue[Any]]:
    (output,) = result.filter_events(lambda event: event.is_successful_output)
    return output.step_output_data.metadata


def lines(instance: dg.DagsterInstance, result: dg.ExecuteInProcessResult) -> list[str]:
    return [entry.user_message for entry in instance.all_logs(result.run_id) if not entry.is_dagster_event]


FILES = ["images/a.fits", "images/b.fits", {"source": "images", "basename": "c.fits"}]


def test_inputs_are_the_whole_config_and_the_output_is_stored(
    launch: Run, store: FileStore, tmp_path: Path
) -> None:
    result = launch("median", {"input_files": FILES})
    assert result.success
    key = result.output_for_node("compute_median")
    (name,) = [name for name in store.list(f"operations/{key}/") if name.endswith(".fits")]
    path = tmp_path / "median.fits"
    path.write_bytes(store.get(name).data)
    with fits.open(path) as hdus:
        assert (hdus["SCI"].data == 2).all()


def test_what_the_step_gives_out_is_kept_in_the_object_store(launch: Run, store: FileStore) -> None:
    result = launch("median", {"input_files": FILES})
    (kept,) = store.list(f"step_values/{result.run_id}/")
    assert json.loads(store.get(kept).data) == result.output_for_node("compute_median")


def test_the_page_shows_picture_key_and_what_it_was_made_of(launch: Run, instance: dg.DagsterInstance) -> None:
    result = launch("median", {"input_files": FILES})
    shown = metadata_of(result)
    assert shown["key"].value == result.output_for_node("compute_median")
    assert str(shown["picture"].value).startswith("![")
    assert len(str(shown["picture"].value)) < 1000, "in place only if short"
    (listed,) = materializations(instance, "median")
    assert "data:image/jpeg;base64," in str(listed.metadata["larger picture"].value)


def test_progress_is_told_up_to_the_end(launch: Run, instance: dg.DagsterInstance) -> None:
    told = lines(instance, launch("median", {"input_files": FILES}))
    assert any(line.startswith("  0%") for line in told)
    assert told[-1].startswith("100%")


def test_a_run_of_the_gateway_notes_how_far_it_is_and_others_do_not(launch: Run, store: FileStore) -> None:
    followed = {"runstart/launch": "ab"}
    done = launch("median", {"input_files": FILES}, followed)
    failed = launch("median", {"input_files": ["images/a.fits", "images/broken.fits"]}, followed)
    own = launch("median", {"input_files": FILES})
    notes = [read_note(store, result.run_id) for result in (done, failed, own)]
    assert notes[0] is not None
    assert (notes[0].state, notes[0].key) == ("COMPLETED", done.output_for_node("compute_median"))
    assert notes[1] is not None
    assert (notes[1].state, "broken.fits" in notes[1].message) == ("FAILED", True)
    assert notes[2] is None


def test_a_second_request_is_answered_from_the_cache_with_its_pictures(
    launch: Run, instance: dg.DagsterInstance
) -> None:
    first, second = (launch("median", {"input_files": FILES}) for _ in range(2))
    assert first.output_for_node("compute_median") == second.output_for_node("compute_median")
    assert metadata_of(first)["from cache"].value is False
    assert metadata_of(second)["from cache"].value is True
    assert len(materializations(instance, "median")) == 2


def test_outputs_of_many_files_are_listed_one_by_one(launch: Run, instance: dg.DagsterInstance) -> None:
    assert launch("increase_brightness", {"input_files": FILES, "brightness": 5.0}).success
    listed = materializations(instance, "increase_brightness")
    assert [m.metadata["basename"].value[-2:] for m in listed] == ["-1", "-2", "-3"]


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (["images/a.fits", "images/broken.fits"], "broken.fits"),
        (["images/a.fits", "images/missing.fits"], "missing.fits"),
        (["images/a.fits", "nowhere/b.fits"], "nowhere"),
        (["images/a.fits"], "at least 2"),
        (["images/a.fits", "images/../../secret.fits"], "secret.fits"),
    ],
)
def test_an_alert_is_the_failure_of_the_run_and_is_not_retried(
    launch: Run, instance: dg.DagsterInstance, files: list[str], said: str
) -> None:
    result = launch("median", {"input_files": files})
    assert not result.success
    (failure,) = result.filter_events(lambda event: event.is_step_failure)
    data = failure.step_failure_data
    assert said in data.user_failure_data.description
    assert data.user_failure_data.metadata["remedy"].value
    assert not result.filter_events(lambda event: event.is_step_up_for_retry)
