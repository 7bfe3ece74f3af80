"""The sensor that looks after the pods of runs: what it says, and what it leaves to the next tick."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest
from kubernetes.client.exceptions import ApiException

from resources.run_launcher import RunLauncher
from sensors import define_run_pods_sensor


class Launcher(RunLauncher):
    """A launcher whose pods a test has looked after."""

    def __init__(self, look_after: Any) -> None:
        self.looked_after = look_after

    @property
    def run_pods(self) -> Any:
        return SimpleNamespace(look_after=self.looked_after)


def tick(launcher: Any, cursor: str | None = None) -> Any:
    with dg.DagsterInstance.ephemeral() as instance:
        instance._run_launcher = launcher
        context = dg.build_sensor_context(instance, cursor)
        return define_run_pods_sensor().evaluate_tick(context)


def test_tick_says_what_was_done_and_remembers_what_was_told() -> None:
    def look_after(told: set[str]) -> list[str]:
        told -= {"old"}
        told.add("new")
        return ["Failed run 1: image pull."]

    ticked = tick(Launcher(look_after), '["old"]')
    assert ticked.skip_message == "Failed run 1: image pull."
    assert ticked.cursor == '["new"]'


def test_cluster_that_does_not_answer_is_asked_again() -> None:
    def look_after(told: set[str]) -> list[str]:
        raise ApiException(status=503, reason="Service Unavailable")

    ticked = tick(Launcher(look_after), '["old"]')
    assert "Kubernetes does not answer" in ticked.skip_message
    assert ticked.cursor in (None, '["old"]')


def test_other_launcher_is_told_to_whoever_reads_the_tick() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        ticked = define_run_pods_sensor().evaluate_tick(dg.build_sensor_context(instance))
    assert "resources.run_launcher.RunLauncher" in (ticked.skip_message or "")


@pytest.mark.parametrize("error", [ValueError, KeyError])
def test_mistakes_of_ours_fail_the_tick(error: type[Exception]) -> None:
    def look_after(told: set[str]) -> list[str]:
        raise error("a mistake")

    with pytest.raises(Exception, match="a mistake"):
        tick(Launcher(look_after))
