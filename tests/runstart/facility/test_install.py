"""The installation of Apache Kafka, with a stand-in for Maven where Maven would be slow."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from runstart.errors import Alert
from runstart.facility.install import KAFKA_VERSION, install_kafka, kafka_dir

_MAVEN = """#!/bin/sh
echo run >> "$MAVEN_RUNS"
mkdir libs; sleep 0.3; echo jar > libs/kafka.jar
"""


@pytest.fixture
def maven(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program `mvn` that counts its runs, and an empty cache."""
    program = tmp_path / "bin" / "mvn"
    program.parent.mkdir()
    _script(program, _MAVEN)
    _script(program.with_name("java"), "#!/bin/sh\n")
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("MAVEN_RUNS", str(tmp_path / "runs"))
    return program


def _script(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def _runs(maven: Path) -> int:
    return len((maven.parent.parent / "runs").read_text().splitlines())


def test_the_second_install_fetches_nothing(maven: Path, tmp_path: Path) -> None:
    folder = install_kafka()
    assert folder == tmp_path / "cache" / "runstart" / f"kafka-{KAFKA_VERSION}" == kafka_dir()
    assert (folder / "libs" / "kafka.jar").exists()
    assert install_kafka() == folder
    assert _runs(maven) == 1


def test_of_two_installs_at_once_one_fetches(maven: Path) -> None:
    command = [sys.executable, "-m", "runstart.facility.install", "kafka"]
    installs = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [install.communicate(timeout=30)[0] for install in installs] == [f"{kafka_dir()}\n"] * 2
    assert _runs(maven) == 1


def test_a_failed_install_is_told_and_may_be_repeated(maven: Path) -> None:
    _script(maven, "#!/bin/sh\nmkdir libs\necho no route >&2\nexit 1\n")
    with pytest.raises(Alert, match="no route"):
        install_kafka()
    assert not kafka_dir().exists()
    _script(maven, _MAVEN)
    assert install_kafka() == kafka_dir()


@pytest.mark.faults
def test_a_killed_install_may_be_repeated(maven: Path) -> None:
    _script(maven, "#!/bin/sh\nmkdir libs\necho half > libs/half.jar\nkill -9 $PPID\nsleep 60\n")
    command = [sys.executable, "-m", "runstart.facility.install", "kafka"]
    assert subprocess.run(command, check=False).returncode == -9
    assert not kafka_dir().exists()
    _script(maven, _MAVEN)
    assert sorted(path.name for path in (install_kafka() / "libs").iterdir()) == ["kafka.jar"]


def test_a_missing_program_is_told_by_name(maven: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    maven.unlink()
    monkeypatch.setenv("PATH", str(maven.parent))
    with pytest.raises(Alert, match=r"`mvn`.*Install maven"):
        install_kafka()
    maven.with_name("java").unlink()
    with pytest.raises(Alert, match="`java`"):
        install_kafka()
