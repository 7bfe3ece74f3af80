from __future__ import annotations

from pathlib import Path

import pytest

from runstart.errors import Alert
from runstart.sessions.environment import read_session_settings


def test_environment_says_where_pods_reach_a_session_and_what_their_image_has(tmp_path: Path) -> None:
    environ = {
        "RUNSTART_POD_IP": "10.1.2.3",
        "RUNSTART_SESSION_PORTS": "48000-48099",
        "RUNSTART_OPERATOR_IMAGE_FOLDERS": "/opt/operators:/more",
    }

    settings = read_session_settings(environ, tmp_path)

    assert (settings.address, settings.ports) == ("10.1.2.3", range(48000, 48100))
    assert settings.image_folders == (Path("/opt/operators"), Path("/more"))


def test_without_settings_the_address_is_found_and_any_port_taken(tmp_path: Path) -> None:
    settings = read_session_settings({}, tmp_path)

    assert (settings.address, settings.ports, settings.image_folders) == (None, None, ())


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("RUNSTART_POD_IP", "fd00::1"),
        ("RUNSTART_POD_IP", "a-name"),
        ("RUNSTART_SESSION_PORTS", "48000"),
        ("RUNSTART_SESSION_PORTS", "48099-48000"),
        ("RUNSTART_SESSION_PORTS", "0-10"),
        ("RUNSTART_SESSION_PORTS", "65000-65536"),
        ("RUNSTART_OPERATOR_IMAGE_FOLDERS", "operators"),
    ],
)
def test_setting_without_its_form_is_named(variable: str, text: str, tmp_path: Path) -> None:
    with pytest.raises(Alert, match=variable):
        read_session_settings({variable: text}, tmp_path)


def test_time_for_a_place_is_added_to_the_time_to_get_ready_and_to_find_the_others(tmp_path: Path) -> None:
    settings = read_session_settings({}, tmp_path)

    assert settings.with_place_time(0.0) == settings
    waits = settings.with_place_time(60.0)
    assert (waits.ready_s, waits.resolve_s) == (180.0, 180.0)
