"""The EPICS resource says what Channel Access reads, and nothing that was not given."""

from __future__ import annotations

import os

import pytest

from resources.epics import EpicsResource


def test_what_the_environment_says_comes_back() -> None:
    environ = {
        "EPICS_CA_ADDR_LIST": "10.0.0.1 10.0.0.2:5070",
        "EPICS_CA_AUTO_ADDR_LIST": "NO",
        "EPICS_CA_SERVER_PORT": "5066",
    }
    assert EpicsResource.from_environment(environ | {"HOME": "/"}).settings() == environ


@pytest.mark.parametrize("environ", [{}, {"EPICS_CA_SERVER_PORT": "none"}])
def test_what_is_not_given_is_not_set(environ: dict[str, str]) -> None:
    assert EpicsResource.from_environment(environ).settings() == {}


def test_applied_settings_are_the_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EPICS_CA_SERVER_PORT", "1")
    EpicsResource(server_port=5077).apply()
    assert os.environ["EPICS_CA_SERVER_PORT"] == "5077"
