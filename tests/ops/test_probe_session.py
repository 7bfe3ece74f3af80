"""Probe sessions as a job: real programs, and what is on the page of their asset."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from toy_sessions import events_of, toy_environ, write_toys

from definitions import build_definitions
from runstart.sessions import read_record
from runstart.storage import FileStore


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as made:
        yield made


def run(
    instance: dg.DagsterInstance, place: Path, config: dict[str, Any], tags: dict[str, str] | None = None
) -> dg.ExecuteInProcessResult:
    toys = place / "operators"
    folder = toys if toys.is_dir() else write_toys(toys)
    job = build_definitions(toy_environ(folder, place)).resolve_job_def("probe_session")
    return job.execute_in_process(run_config=config, instance=instance, raise_on_error=False, tags=tags)


@pytest.mark.parametrize(("plain_stream", "last"), [(True, "streaming"), (False, "segmentation")])
def test_every_message_arrives_and_is_counted_on_the_page(
    instance: dg.DagsterInstance, tmp_path: Path, plain_stream: bool, last: str
) -> None:
    result = run(instance, tmp_path, {"count": 300, "plain_stream": plain_stream})
    assert result.success
    (made,) = events_of(instance, result.run_id, dg.DagsterEventType.ASSET_MATERIALIZATION)
    assert made.asset_key == dg.AssetKey(["sessions", "probe"])
    assert (made.metadata["arrived"].value, made.metadata["count"].value) == (300, 300)
    programs = {row.data["program"]: row.data for row in made.metadata["programs"].records}
    assert list(programs)[-1] == last
    assert programs[last]["received"] == "300"
    session = result.output_for_node("run_probe")
    found = instance.get_run_by_id(result.run_id)
    assert found is not None
    assert found.tags["runstart/session"] == session
    assert read_record(FileStore(tmp_path / "store"), session).run_id == result.run_id


def test_who_launches_the_run_chooses_the_sessions_name_once(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    asked = {"runstart/session": "0123456789ABCDEF"}
    config = {"count": 10, "plain_stream": True}
    assert run(instance, tmp_path, config, asked).output_for_node("run_probe") == "0123456789ABCDEF"
    again = run(instance, tmp_path, config, asked).output_for_node("run_probe")
    assert again != "0123456789ABCDEF", "a session is never written over"
    nonsense = run(instance, tmp_path, config, {"runstart/session": "../x"}).output_for_node("run_probe")
    assert len(nonsense) == 16


def test_a_count_that_is_none_is_refused_before_anything_starts(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    with pytest.raises(dg.DagsterInvalidConfigError, match="count"):
        run(instance, tmp_path, {"count": "many"})
    result = run(instance, tmp_path / "again", {"count": 0})
    (failure,) = result.filter_events(lambda event: event.is_step_failure)
    assert "cannot send" in failure.step_failure_data.user_failure_data.description
    assert not result.filter_events(lambda event: event.is_step_up_for_retry)
