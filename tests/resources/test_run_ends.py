"""Runs that are failed from outside: what becomes of them is said before anybody can see that they have failed."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest

from resources.run_ends import fail_run


@pytest.mark.parametrize(("most", "promised"), [(3, "true"), (0, "false")])
def test_whether_a_run_is_retried_is_said_before_it_fails(
    most: int, promised: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dg.DagsterInstance, "run_retries_enabled", True)
    monkeypatch.setattr(dg.DagsterInstance, "run_retries_max_retries", most)
    fail, seen = dg.DagsterInstance.report_run_failed, []

    def look_and_fail(self: dg.DagsterInstance, run: dg.DagsterRun, message: str) -> Any:
        seen.append(self.get_run_by_id(run.run_id))
        return fail(self, run, message)

    monkeypatch.setattr(dg.DagsterInstance, "report_run_failed", look_and_fail)
    with dg.DagsterInstance.ephemeral() as instance:
        run = dg.DagsterRun("median", status=dg.DagsterRunStatus.STARTED)
        instance.add_run(run)
        fail_run(instance, run.run_id, "Its process is gone.")
        (before,), after = seen, instance.get_run_by_id(run.run_id)
    assert before is not None
    assert (before.status, before.tags) == (dg.DagsterRunStatus.STARTED, {"dagster/will_retry": promised})
    assert after is not None
    assert (after.status, after.tags) == (dg.DagsterRunStatus.FAILURE, {"dagster/will_retry": promised})


def test_a_run_that_is_gone_is_left_so() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        fail_run(instance, dg.DagsterRun("median").run_id, "Its process is gone.")
        assert instance.get_runs() == []
