from __future__ import annotations

import pytest

from resources import LauncherResource
from runstart.errors import Alert
from runstart.launchers.failures import EngineUnreachable, ImageForbidden

VARIABLES = ("RUNSTART_LAUNCHER", "RUNSTART_IMAGES", "DOCKER_HOST")


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def test_without_settings_tasks_are_processes() -> None:
    assert LauncherResource().open().name == "processes"
    assert LauncherResource.from_environment({}).open().name == "processes"


def test_settings_are_those_of_the_code_location_and_not_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    environ = {
        "RUNSTART_LAUNCHER": "containers",
        "RUNSTART_IMAGES": "ghcr.io/nersc/",
        "DOCKER_HOST": "unix:///no/such/socket",
    }
    monkeypatch.setenv("DOCKER_HOST", "unix:///another/socket")
    launcher = LauncherResource.from_environment(environ).open()
    assert launcher.name == "containers"
    with pytest.raises(ImageForbidden, match=r"ghcr\.io/nersc/"):
        launcher.fetch_image("python")
    with pytest.raises(EngineUnreachable, match="/no/such/socket"):
        launcher.list({})


def test_resource_in_a_notebook_reads_the_process_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNSTART_LAUNCHER", "containers")
    assert LauncherResource().open().name == "containers"


def test_wrong_setting_is_told() -> None:
    with pytest.raises(Alert, match="RUNSTART_LAUNCHER"):
        LauncherResource(launcher="cloud").open()
