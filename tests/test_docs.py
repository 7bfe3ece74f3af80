"""The documentation shows what is there: the example operation, every operation, every check of a night, every file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from assets import define_scans
from runstart.microscopes import read_microscopes
from runstart.nights import CHECKS, STEPS
from runstart.operation_kit import find_operations

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]


def test_the_example_of_a_data_operation_is_the_shipped_one() -> None:
    example = (ROOT / "runstart/operations/increase_brightness.py").read_text().rstrip()
    assert f"```python\n{example}\n```" in (DOCS / "data-operations.md").read_text()
    assert len(example.splitlines()) <= 25


def test_every_data_operation_is_described() -> None:
    page = (DOCS / "data-operations.md").read_text()
    assert [op.name for op in find_operations({}).values() if op.name not in page] == []


def test_every_asset_and_check_of_a_night_is_described() -> None:
    page = (DOCS / "nights.md").read_text()
    assert [step.asset for step in STEPS if f"`{step.asset}`" not in page] == []
    assert [check.name for check in CHECKS if f"`{check.asset}` | `{check.name}`" not in page] == []


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_every_link_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text())
    local = [link for link in links if not link.startswith(("http:", "https:", "mailto:"))]
    assert [link for link in local if not (page.parent / link).exists()] == []


def test_every_asset_and_check_of_a_scan_is_described() -> None:
    page = (DOCS / "scans.md").read_text()
    microscope = read_microscopes(ROOT / "microscopes.toml")["SIMSTEM"]
    scans = define_scans(microscope)
    assert [key.path[-1] for key in scans.asset_keys if f"`{key.path[-1]}`" not in page] == []
    checks = [key for each in (*scans.assets, *scans.checks) for key in each.check_keys]
    told = [f"`{key.asset_key.path[-1]}` | `{key.name}`" for key in checks]
    assert told
    assert [text for text in told if text not in page] == []


def test_every_operator_and_pipeline_is_described() -> None:
    page = (DOCS / "operators.md").read_text()
    operators = [path.parent.name for path in (ROOT / "operators").glob("*/operator.json")]
    pipelines = [path.stem for path in (ROOT / "operators/pipelines").glob("*.json")]
    assert operators
    assert pipelines
    assert [name for name in (*operators, *pipelines) if f"`{name}`" not in page] == []


def test_the_example_of_an_operator_passes_the_test_that_is_printed_beside_it(tmp_path: Path) -> None:
    page = (DOCS / "operators.md").read_text()
    kernel, test = re.findall(r"```python\n(.*?)```", page, re.DOTALL)[:2]
    (tmp_path / "run.py").write_text(kernel)
    names: dict[str, Any] = {"__file__": str(tmp_path / "test_blur_images.py")}
    exec(test, names)  # noqa: S102 - the page's own text
    names["test_a_point_is_spread_and_nothing_is_lost"]()
