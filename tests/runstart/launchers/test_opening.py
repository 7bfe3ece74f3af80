from __future__ import annotations

from pathlib import Path

import pytest

from runstart.errors import Alert
from runstart.launchers import open_launcher
from runstart.launchers.failures import EngineUnreachable, ImageForbidden


@pytest.mark.parametrize("environ", [{}, {"RUNSTART_LAUNCHER": ""}, {"RUNSTART_LAUNCHER": "processes"}])
def test_default_is_processes(environ: dict[str, str]) -> None:
    assert open_launcher(environ).name == "processes"


def test_containers_are_run_where_the_environment_says_and_only_the_images_that_it_allows() -> None:
    launcher = open_launcher(
        {
            "RUNSTART_LAUNCHER": "containers",
            "DOCKER_HOST": "unix:///no/such/socket",
            "RUNSTART_IMAGES": "ghcr.io/nersc/, localhost/",
        }
    )
    assert launcher.name == "containers"
    with pytest.raises(ImageForbidden, match=r"ghcr\.io/nersc/, localhost/"):
        launcher.fetch_image("python")
    with pytest.raises(EngineUnreachable, match="/no/such/socket does not answer: No such file or directory"):
        launcher.fetch_image("localhost/op")


def test_pods_are_run_where_the_environment_says_and_only_the_images_that_it_allows(tmp_path: Path) -> None:
    environ = {
        "RUNSTART_LAUNCHER": "kubernetes",
        "KUBECONFIG": str(tmp_path / "none"),
        "RUNSTART_IMAGES": "ghcr.io/nersc/",
    }
    launcher = open_launcher(environ)
    assert launcher.name == "pods"
    with pytest.raises(ImageForbidden, match=r"ghcr\.io/nersc/"):
        launcher.fetch_image("python")
    with pytest.raises(Alert, match=r"No cluster is known.*Set KUBECONFIG"):
        launcher.list({})


def test_unknown_kind_of_launcher_is_told() -> None:
    with pytest.raises(Alert, match=r"'pods'.*processes, containers or kubernetes"):
        open_launcher({"RUNSTART_LAUNCHER": "pods"})


@pytest.mark.parametrize(
    "variables",
    [
        {"DOCKER_HOST": "ftp://here"},
        {"DOCKER_HOST": "tcp://here:2376", "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": "/no"},
    ],
)
def test_address_that_cannot_be_one_is_told(variables: dict[str, str]) -> None:
    with pytest.raises(Alert, match=r"DOCKER_HOST=.*Set DOCKER_HOST"):
        open_launcher({"RUNSTART_LAUNCHER": "containers", **variables})
