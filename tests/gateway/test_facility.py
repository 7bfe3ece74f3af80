from __future__ import annotations

from pathlib import Path

import pytest

from gateway.facility import CHECKOUT, read_facility
from runstart.errors import Alert


def test_the_gateway_reads_what_dagster_reads() -> None:
    facility = read_facility({})
    assert {"SIMSANS", "SANS2D"} <= set(facility.instruments)
    assert set(facility.microscopes) == {"SIMSTEM"}
    assert set(facility.sites) == {"SIMOBS"}
    assert "center_of_mass" in facility.pipelines


def test_files_of_the_environment_go_before_those_beside_the_code(tmp_path: Path) -> None:
    instruments = tmp_path / "mine.toml"
    declared = (CHECKOUT / "instruments.toml").read_text().replace("SIMSANS", "MYSANS")
    instruments.write_text(declared.replace('folder = "runstart', f'folder = "{CHECKOUT}/runstart'))
    alerts = tmp_path / "alerts.toml"
    alerts.write_text("[rules]\nlag_seconds = 7.0\n")
    facility = read_facility({"RUNSTART_INSTRUMENTS": str(instruments), "RUNSTART_ALERTS": str(alerts)})
    assert "MYSANS" in facility.instruments
    assert facility.alerts.rules.lag_seconds == 7.0


def test_a_file_that_is_wrong_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "instruments.toml"
    broken.write_text("[instruments.X]\nbins = 3\n")
    with pytest.raises(Alert, match=r"instruments\.toml"):
        read_facility({"RUNSTART_INSTRUMENTS": str(broken)})
