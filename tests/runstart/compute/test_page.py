"""docs/compute.md tells every state, every variable and every setting that there is."""

from __future__ import annotations

import re
from pathlib import Path

from compute_kit import workflow_payload

from runstart.compute import Status, order_job, read_workflow
from runstart.compute.algorithm import algorithm_program
from runstart.compute.environments import _OCEAN_VARIABLES, ComputeEnvironment

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs/compute.md").read_text()


def test_every_state_is_told_with_its_text_and_whether_it_is_the_last() -> None:
    told = {
        int(code): (text, rest) for code, text, rest in re.findall(r"^\| (\d+) \| ([^|]+?) \| (.*)", PAGE, re.M)
    }
    assert {code: text for code, (text, _) in told.items()} == {int(each): each.text for each in Status}
    for code, (_, rest) in told.items():
        assert rest.startswith("**ended**") == Status(code).is_final


def test_every_variable_of_oceans_is_told_here_or_in_the_file() -> None:
    assert [name for name in _OCEAN_VARIABLES if f"`{name}`" not in PAGE] == []
    shipped = (ROOT / "compute.toml").read_text()
    assert [
        name for name in ComputeEnvironment.model_fields if name not in (*shipped.split(), "name", "gpus")
    ] == []


def test_every_variable_that_an_algorithm_sees_is_told() -> None:
    environment = ComputeEnvironment(name="a")
    record = order_job(read_workflow(workflow_payload()), environment, agreement_id="a", owner="o", provider="p")
    given = {
        *algorithm_program(record, environment).environment,
        "ALGO",
        "INPUTS",
        "OUTPUTS",
        "LOGS",
        "DDOS",
        "VOLUME",
    }
    assert {name for name in given if f"| `{name}` |" not in PAGE} == set()
