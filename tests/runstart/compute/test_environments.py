"""Environments: declared in compute.toml, completed by Ocean's variables, announced in Ocean's form."""

from __future__ import annotations

from pathlib import Path

import pytest

from runstart.compute import ComputeEnvironment, read_environments
from runstart.errors import Alert

DECLARED = """
[environments.beamline]
description = "Beside the data of SANS2D"
cpus = 2
ram_gb = 4
disk_gb = 20
max_jobs = 4
max_job_s = 3600
storage_expiry_h = 48
allowed_chain_ids = [1, 137]
input_prefixes = ["instruments/SANS2D/"]
images = ["docker.io/python"]
internal_hosts = ["archive.example.org:8080"]

[environments.small]
"""


def test_a_file_declares_environments_and_oceans_variables_fill_what_it_leaves_out(tmp_path: Path) -> None:
    (tmp_path / "compute.toml").write_text(DECLARED)
    found = read_environments({"maxJobs": "7", "maxJobDuration": "120", "cpuType": "Xeon"}, tmp_path)
    assert list(found) == ["beamline", "small"]
    assert (found["beamline"].max_jobs, found["beamline"].max_job_s, found["beamline"].cpu_type) == (
        4,
        3600,
        "Xeon",
    )
    assert (found["small"].max_jobs, found["small"].max_job_s, found["small"].cpus) == (7, 120, 1)
    assert found["beamline"].expires_after_s == 48 * 3600
    assert found["small"].expires_after_s is None
    assert found["beamline"].ram_bytes == 4_000_000_000


def test_what_is_announced_has_oceans_names_and_defaults() -> None:
    (environment,) = read_environments({"nCPU": "1"}).values()
    assert environment.announce(3) == {
        "id": "ocean-compute",
        "cpuNumber": 1.0,
        "cpuType": "",
        "gpuNumber": 0,
        "gpuType": "",
        "ramGB": 1.0,
        "diskGB": 1.0,
        "priceMin": 0.0,
        "desc": "",
        "currentJobs": 3,
        "maxJobs": 10,
        "consumerAddress": "",
        "storageExpiry": 0.0,
        "maxJobDuration": 60.0,
    }


def test_oceans_variables_alone_make_one_environment_and_none_of_them_makes_none(tmp_path: Path) -> None:
    environ = {
        "nCPU": "2",
        "nGPU": "0",
        "ramGB": "8",
        "diskGB": "30",
        "priceMinute": "0.5",
        "maxJobs": "3",
        "maxJobDuration": "600",
        "STORAGE_EXPIRY": "24",
        "description": "ours",
        "RUNSTART_COMPUTE_ENVIRONMENT": "withram",
    }
    (environment,) = read_environments(environ).values()
    assert environment.name == "withram"
    assert (environment.cpus, environment.ram_gb, environment.disk_gb, environment.max_jobs) == (2, 8, 30, 3)
    assert (environment.max_job_s, environment.storage_expiry_h, environment.price_per_minute) == (600, 24, 0.5)
    assert environment.description == "ours"
    assert read_environments({}) == {}
    (tmp_path / "compute.toml").write_text("# none so far\n")
    assert list(read_environments(environ, tmp_path)) == ["withram"]
    assert read_environments({}, tmp_path) == {}
    assert read_environments({"description": "of something else", "PATH": "/bin"}) == {}


@pytest.mark.parametrize("text", ["[1, 137]", "1,137", '["1","137"]', " 1 , 137 "])
def test_chains_are_read_as_oceans_deployments_write_them(text: str) -> None:
    (environment,) = read_environments({"nCPU": "1", "allowedChainId": text}).values()
    assert environment.allowed_chain_ids == (1, 137)
    assert environment.allows_chain(137)
    assert environment.allows_chain(None)
    assert not environment.allows_chain(5)
    (any_chain,) = read_environments({"nCPU": "1"}).values()
    assert any_chain.allows_chain(5)


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"nCPU": "many"}, "nCPU: 'many'"),
        ({"nCPU": "0"}, "nCPU: '0'"),
        ({"nCPU": "1", "nGPU": "1"}, "nGPU: '1'"),
        ({"nCPU": "1", "maxJobs": "0"}, "maxJobs: '0'"),
        ({"nCPU": "1", "STORAGE_EXPIRY": "-1"}, "STORAGE_EXPIRY: '-1'"),
        ({"nCPU": "1", "allowedChainId": "mainnet"}, "allowedChainId is 'mainnet'"),
        ({"nCPU": "1", "RUNSTART_COMPUTE_ENVIRONMENT": "../x"}, "RUNSTART_COMPUTE_ENVIRONMENT: '../x'"),
        ({"nCPU": "1", "FILTERING_CONTAINER": "filter:1"}, "write filter_image and filter_command"),
    ],
)
def test_a_variable_that_cannot_be_is_named(environ: dict[str, str], words: str) -> None:
    with pytest.raises(Alert) as caught:
        read_environments(environ)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("cpu = 2", "compute.toml:3: environments.a.cpu: is not a key that anything reads; did you mean 'cpus'?"),
        ("max_jobs = 0", "compute.toml:3: environments.a.max_jobs"),
        ("gpus = 1", "compute.toml:3: environments.a.gpus"),
        ('consumer_address = "me"', "compute.toml:3: environments.a.consumer_address"),
        ('internal_hosts = ["http://a"]', "compute.toml:3: environments.a.internal_hosts"),
        ('input_prefixes = [""]', "compute.toml:3: environments.a.input_prefixes"),
        ('filter_image = "f:1"', "write filter_image and filter_command"),
    ],
)
def test_what_is_wrong_in_the_file_is_named_with_its_line(tmp_path: Path, line: str, words: str) -> None:
    path = tmp_path / "compute.toml"
    path.write_text(f"\n[environments.a]\n{line}\n")
    with pytest.raises(Alert) as caught:
        read_environments({"RUNSTART_COMPUTE": str(path)})
    assert words in str(caught.value)


def test_the_shipped_file_declares_nothing_and_its_example_is_right(tmp_path: Path) -> None:
    shipped = Path(__file__).resolve().parents[3] / "compute.toml"
    assert read_environments({"RUNSTART_COMPUTE": str(shipped)}) == {}
    lines = shipped.read_text().splitlines()
    (tmp_path / "compute.toml").write_text(
        "\n".join(line[2:] for line in lines if line.startswith("# [") or " = " in line)
    )
    (example,) = read_environments({}, tmp_path).values()
    declared = set(ComputeEnvironment.model_fields) - {"name"}
    assert {name for name in declared if f"# {name} = " in shipped.read_text()} == declared - {"gpus"}
    assert example.filter_image


def test_a_file_that_is_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(Alert, match="cannot be read"):
        read_environments({"RUNSTART_COMPUTE": str(tmp_path / "none.toml")})
