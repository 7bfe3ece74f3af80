"""Runs that are failed from outside: what Dagster's daemons ask after is there before they are told of the failure."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest

from resources.run_ends import fail_run


@pytest.mark.parametrize(("most", "promised"), [(3, "true"), (0, "false")])
def test_whoever_hears_of_a_failure_finds_the_run_failed_and_its_retry_promised(
    most: int, promised: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dg.DagsterInstance, "run_retries_enabled", True)
    monkeypatch.setattr(dg.DagsterInstance, "run_retries_max_retries", most)
    seen: list[tuple[str, Any]] = []

    def look(instance: dg.DagsterInstance, run_id: str) -> tuple[Any, Any]:
        run = instance.get_run_by_id(run_id)
        assert run is not None
        return run.status, run.tags.get("dagster/will_retry")

    with dg.DagsterInstance.ephemeral() as instance:
        run = dg.DagsterRun("median", status=dg.DagsterRunStatus.STARTED)
        instance.add_run(run)
        for storage, change in (
            (instance.run_storage, "handle_run_event"),
            (instance.event_log_storage, "store_event"),
        ):
            original = getattr(storage, change)

            def look_first(*arguments: Any, original: Any = original, change: str = change) -> Any:
                seen.append((change, look(instance, run.run_id)))
                return original(*arguments)

            monkeypatch.setattr(storage, change, look_first)
        fail_run(instance, run.run_id, "Its process is gone.")
        assert look(instance, run.run_id) == (dg.DagsterRunStatus.FAILURE, promised)
        assert instance.all_logs(run.run_id)[0].message == "Its process is gone."
    assert seen[0] == ("handle_run_event", (dg.DagsterRunStatus.STARTED, promised)), (
        "a backfill waits for the retry"
    )
    assert seen[1] == ("store_event", (dg.DagsterRunStatus.FAILURE, promised)), "the retry can be made"


def test_a_run_that_is_gone_is_left_so() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        fail_run(instance, dg.DagsterRun("median").run_id, "Its process is gone.")
        assert instance.get_runs() == []
