from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from toy_sessions import write_toys

from resources import SHIPPED_OPERATORS, SessionsResource
from runstart.errors import Alert
from runstart.specifications import find_operators


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("RUNSTART_")]:
        monkeypatch.delenv(name)


def test_without_settings_operators_are_those_that_ship_and_see_home_temporary_and_current_folder() -> None:
    settings = SessionsResource.from_environment({}).open()
    assert set(settings.operators) == set(find_operators([SHIPPED_OPERATORS]))
    assert set(settings.mount_roots or ()) == {Path.home(), Path(tempfile.gettempdir()), Path.cwd()}
    assert settings.image is None
    assert SessionsResource.from_environment({}).hung_limit() == 600.0


def test_the_environment_says_what_operators_are_see_and_may_use(tmp_path: Path) -> None:
    write_toys(tmp_path)
    environ = {
        "RUNSTART_OPERATORS": str(tmp_path),
        "RUNSTART_MOUNT_ROOTS": os.pathsep.join(["/data", "/scratch"]),
        "RUNSTART_OPERATOR_IMAGE": "facility/operators:1",
        "RUNSTART_OPERATOR_IMAGE_MOUNTS": "/usr",
        "RUNSTART_OPERATOR_MEMORY": "2GiB",
        "RUNSTART_OPERATOR_CPUS": "1.5",
        "RUNSTART_OPERATOR_HUNG_S": "30",
        "RUNSTART_SESSION_HUNG_S": "90",
    }
    resource = SessionsResource.from_environment(environ)
    settings = resource.open()
    assert settings.operators["counter"] == tmp_path / "counter"
    assert settings.mount_roots == (Path("/data"), Path("/scratch"))
    assert (settings.image, [str(mount.source) for mount in settings.image_mounts]) == (
        "facility/operators:1",
        ["/usr"],
    )
    assert not any(mount.writable for mount in settings.image_mounts)
    assert (settings.allowance.memory_bytes, settings.allowance.cpus) == (2 << 30, 1.5)
    assert (settings.message_limit_s, resource.hung_limit()) == (30.0, 90.0)


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("RUNSTART_OPERATOR_MEMORY", "much"),
        ("RUNSTART_OPERATOR_CPUS", "-1"),
        ("RUNSTART_OPERATOR_CPUS", "nan"),
        ("RUNSTART_OPERATOR_HUNG_S", "soon"),
        ("RUNSTART_MOUNT_ROOTS", "data"),
    ],
)
def test_a_setting_that_does_not_have_its_form_is_an_alert_that_names_it(variable: str, text: str) -> None:
    with pytest.raises(Alert, match=variable):
        SessionsResource.from_environment({variable: text}).open()
