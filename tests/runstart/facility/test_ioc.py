"""The IOC of the simulated sample environment: real, on its own port, and gone when it is stopped."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from runstart.errors import Alert
from runstart.facility import SampleEnvironmentIoc, accepts_connections

_READ = """
import json, sys, epics
names = sys.argv[1:]
pvs = [epics.PV(name, form="ctrl") for name in names]
print(json.dumps([[pv.get(as_string=pv.type.endswith("enum")), pv.units] for pv in pvs if pv.wait_for_connection(10)]))
"""


def test_it_serves_its_sample_environment_and_ends(tmp_path: Path) -> None:
    with SampleEnvironmentIoc(tmp_path, prefix="LAB1") as ioc:
        assert list(ioc.pvs) == ["temperature", "field", "rotation", "shutter"]
        done = subprocess.run(
            [sys.executable, "-c", _READ, *ioc.pvs.values()],
            env=os.environ | ioc.environment,
            capture_output=True,
            text=True,
            check=True,
        )
        temperature, field, rotation, shutter = json.loads(done.stdout)
        assert ioc.running
    assert 290 < temperature[0] < 315
    assert [temperature[1], field[1], rotation[1]] == ["K", "T", "deg"]
    assert shutter[0] in ("OPEN", "CLOSED")
    assert not accepts_connections(ioc.port)


def test_two_of_them_do_not_meet(tmp_path: Path) -> None:
    one, other = SampleEnvironmentIoc(tmp_path / "1"), SampleEnvironmentIoc(tmp_path / "2")
    assert one.environment["EPICS_CA_SERVER_PORT"] != other.environment["EPICS_CA_SERVER_PORT"]


@pytest.mark.parametrize("prefix", ["", "A B", "A:B", "Ä"])
def test_a_prefix_that_no_pv_can_have_is_an_alert(tmp_path: Path, prefix: str) -> None:
    with pytest.raises(Alert, match="letters and digits"):
        SampleEnvironmentIoc(tmp_path, prefix=prefix)
