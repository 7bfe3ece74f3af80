from __future__ import annotations

from pathlib import Path

import pytest
from night_kit import judge_night, open_observatory

from runstart.nights.steps import STEPS, make_night
from runstart.simulators.night import Scenario

NIGHT = "2026-03-28"


@pytest.mark.parametrize(
    ("scenario", "errors", "warnings"),
    [
        (Scenario.GOOD, set(), set()),
        (Scenario.FEW_FLATS, {"master_flat.enough_flats"}, set()),
        (Scenario.NO_WCS, {"exposures.wcs_present", "stacks.made"}, set()),
        (Scenario.SATURATED, set(), {"exposures.saturation"}),
        (Scenario.NOISY_BIAS, {"master_bias.bias_noise"}, set()),
        (Scenario.CLOUDS, {"source_catalog.not_empty"}, set()),
        (Scenario.NO_SCIENCE, set(), set()),
    ],
)
def test_each_scenario_trips_the_checks_that_it_should_and_no_other(
    tmp_path: Path, scenario: Scenario, errors: set[str], warnings: set[str]
) -> None:
    observatory = open_observatory(tmp_path, sources=8)
    observatory.simulate(NIGHT, scenario=scenario, shape=(128, 128), filters=("rp",), exposures=2)
    records = observatory.make(NIGHT)
    verdicts = judge_night(observatory.site, records)
    failed = {name: verdict for name, verdict in verdicts.items() if not verdict.passed}
    assert {name for name, verdict in failed.items() if verdict.severity == "error"} == errors
    assert {name for name, verdict in failed.items() if verdict.severity == "warn"} == warnings


def test_a_night_without_science_has_masters_and_empty_records(tmp_path: Path) -> None:
    observatory = open_observatory(tmp_path)
    observatory.simulate(NIGHT, scenario=Scenario.NO_SCIENCE, shape=(48, 64))
    records = observatory.make(NIGHT)
    assert [len(records[step.asset].products) for step in STEPS] == [0, 1, 1, 2, 0, 0, 0, 0]


def test_a_night_without_any_file_has_empty_records(tmp_path: Path) -> None:
    observatory = open_observatory(tmp_path)
    work = observatory.work(NIGHT)
    assert all(not record.products and not record.remarks for record in make_night(work).values())
    assert work.computed == 0
