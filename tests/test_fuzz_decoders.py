"""The fuzzing finds what is planted, and says which payload it was."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import fuzz_decoders
import pytest

SCRIPT = Path(fuzz_decoders.__file__)
HEAD = """
import time
from runstart.events import AlarmMessage, EventMessage
from runstart.events import decode as real

def decode(payload):
    message = real(payload)
    if {condition}:
        {bug}
    return message
"""
ALTERED = "isinstance(message, EventMessage) and message.message_id > 2**40"
ALARM = "isinstance(message, AlarmMessage)"
BUGS = {
    "raises": ("ZeroDivisionError", ALTERED, "1 // 0"),
    "is slow": (
        "bytes took",
        ALARM,
        "end = time.process_time() + 1.1\n        while time.process_time() < end: pass",
    ),
    "is greedy": (" and [0-9]{3} MB", ALARM, "b'x' * 400_000_000"),
    "is no codec": ("gives another message", ALARM, "return AlarmMessage('', time.time_ns(), message.severity)"),
}


@pytest.mark.parametrize(("symptom", "condition", "bug"), BUGS.values(), ids=BUGS)
def test_planted_bug_is_found_and_its_payload_told(symptom: str, condition: str, bug: str, tmp_path: Path) -> None:
    (tmp_path / "planted.py").write_text(HEAD.format(condition=condition, bug=bug))
    found = run(tmp_path, "--seconds", "60", "--decoder", "planted:decode")
    assert found.returncode == 1, found.stderr
    assert re.search(symptom, found.stdout), found.stdout
    payload = bytes.fromhex(re.search(r"^Finding\. Payload: ([0-9a-f]+)$", found.stdout, re.MULTILINE)[1])
    assert payload[4:8] in (b"al00", b"ev42", b"ev44")


def test_planted_bug_is_found_without_atheris(tmp_path: Path) -> None:
    (tmp_path / "planted.py").write_text(HEAD.format(condition=ALTERED, bug="1 // 0"))
    found = run(tmp_path, "--seconds", "60", "--decoder", "planted:decode", "--engine", "hypothesis")
    assert found.returncode == 1, found.stderr
    assert "ZeroDivisionError" in found.stdout


@pytest.mark.parametrize("engine", ["atheris", "hypothesis"])
def test_nothing_is_found_in_the_real_decoders(engine: str, tmp_path: Path) -> None:
    found = run(tmp_path, "--seconds", "2", "--engine", engine)
    assert found.returncode == 0, found.stdout
    assert re.search(r"^[0-9]{2,} executions; coverage: ", found.stdout)


def run(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Fuzz in a process of its own, which finds the planted module."""
    pytest.importorskip("atheris")
    command = [sys.executable, str(SCRIPT), *options]
    environment = {"PYTHONPATH": str(folder), "PATH": "/usr/bin:/bin"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=110, check=False)
