from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from runstart.cli import app
from runstart.errors import Alert, Transient
from runstart.instrument_resources import make_crd
from runstart.instrument_resources.api import ClusterApi

ROOT = Path(__file__).parents[3]


def run(*arguments: str) -> str:
    done = CliRunner().invoke(app, ["kubernetes", *arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.mark.parametrize("command", ["crd", "resources", "instruments"])
def test_help_has_examples(command: str) -> None:
    assert "Examples" in run(command, "--help")


def test_the_definition_is_printed_as_yaml() -> None:
    assert yaml.safe_load(run("crd")) == make_crd()


def test_the_instruments_of_a_file_are_printed_as_resources() -> None:
    objects = list(yaml.safe_load_all(run("resources", str(ROOT / "instruments.toml"))))
    assert [made["metadata"]["name"] for made in objects] == ["simsans", "sans2d"]
    assert objects[1]["spec"]["tof"] == {"start_us": 0, "stop_us": 100_000, "bins": 1000}


def test_a_wrong_file_is_told_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "instruments.toml"
    file.write_text("[instruments.SANS]\ntypo = 1\n")
    done = CliRunner().invoke(app, ["kubernetes", "resources", str(file)])
    assert done.exit_code == 1
    assert "instruments.toml:2: instruments.SANS.typo" in " ".join(done.stderr.split())


def test_no_cluster_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with pytest.raises(Alert, match="set KUBECONFIG"):
        ClusterApi("runstart")


def test_an_api_server_that_is_away_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = {
        "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:9"}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "users": [{"name": "u", "user": {}}],
        "current-context": "c",
    }
    (tmp_path / "config").write_text(yaml.safe_dump(place))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    api = ClusterApi("runstart")
    with pytest.raises(Transient, match="The API server does not answer for the Instrument resources"):
        api.list_resources()
    with pytest.raises(Transient, match="does not answer"):
        list(api.watch_resources("1"))
