"""Commands in namespaces of their own: what they mount and start is gone with them, and with us."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from pathlib import Path

import pytest
from waiting import wait_until

from runstart.errors import Alert
from runstart.facility.image_tools import run_apart

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(os.geteuid() != 0, reason="images are built by the superuser only"),
]

BUILD = """
import sys
from pathlib import Path
from runstart.facility.image_tools import run_apart
folder, left = Path(sys.argv[1]), sys.argv[2]
run_apart(["sh", "-c", f"mount -t tmpfs none {folder} && setsid {left}"], folder)
"""


def is_running(command: str) -> bool:
    return subprocess.run(["pgrep", "--full", "--exact", command], capture_output=True, check=False).returncode == 0


def test_what_a_killed_build_has_mounted_and_started_is_gone(tmp_path: Path) -> None:
    folder = tmp_path / "place"
    folder.mkdir()
    # A number that no other run of the tests has.
    left = f"sleep {10_000 + secrets.randbelow(10**6)}"
    build = subprocess.Popen([sys.executable, "-c", BUILD, str(folder), left])
    wait_until(lambda: is_running(left), "the build")
    assert str(folder) not in Path("/proc/self/mounts").read_text()
    build.kill()
    build.wait()
    wait_until(lambda: not is_running(left), "the end of what it started")


def test_a_command_that_fails_is_an_alert_with_what_it_printed(tmp_path: Path) -> None:
    with pytest.raises(Alert, match=r"sh failed(.|\n)*no such layer"):
        run_apart(["sh", "-c", "echo no such layer >&2; exit 3"], tmp_path)
    assert run_apart(["sh", "-c", "echo done"], tmp_path) == "done\n"
