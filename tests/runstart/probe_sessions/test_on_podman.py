"""Probe sessions in containers of a real engine: all messages arrive over the session's network, and nothing is left."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from left_behind import left_behind
from probe_kit import Remembering, session_settings

from runstart.facility import HOST_IMAGE, host_mounts
from runstart.host import Reservations
from runstart.launchers import DockerLauncher
from runstart.probe_sessions import ProbeOrder, run_probe_session
from runstart.sessions import read_record
from runstart.sessions.folders import find_session_folders
from runstart.storage import FileStore

if TYPE_CHECKING:
    from runstart.facility import Podman


pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]


@pytest.mark.parametrize("plain_stream", [True, False])
def test_all_messages_arrive_and_nothing_is_left(tmp_path: Path, podman: Podman, *, plain_stream: bool) -> None:
    launcher = DockerLauncher(podman.environment)
    settings = replace(session_settings(tmp_path), image=HOST_IMAGE, image_mounts=host_mounts())
    store, order = FileStore(tmp_path / "store"), ProbeOrder(5000, plain_stream)
    outcome = run_probe_session(order, launcher, store, settings, Remembering())
    assert (outcome.state, outcome.arrived, outcome.troubles) == ("finished", 5000, ())
    record = read_record(store, order.session_id)
    assert [(node.operator, node.status) for node in record.nodes] == [(name, "exited") for name in order.programs]
    assert launcher.list({}) == []
    assert launcher.list_networks({}) == []
    assert [found for found in find_session_folders() if found.session_id == order.session_id] == []
    assert left_behind() == []
    assert Reservations(tmp_path / "reservations").living() == []
