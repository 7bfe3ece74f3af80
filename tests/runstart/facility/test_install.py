"""The installation of Apache Kafka and of Podman, with stand-ins for Maven and for Debian's apt-get."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from runstart.errors import Alert
from runstart.facility import install
from runstart.facility.install import KAFKA_VERSION, install_kafka, install_podman, kafka_dir

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
    command = [sys.executable, "-m", "runstart.facility", "kafka"]
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
    command = [sys.executable, "-m", "runstart.facility", "kafka"]
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


_APT = """#!/bin/sh
echo "$@" >> "$APT_RUNS"
[ "$2" = install ] || exit 0
for program in podman runc conmon catatonit netavark aardvark-dns iptables ip unshare nsenter; do
    printf '#!/bin/sh\\n' > "$PROGRAMS/$program"; chmod +x "$PROGRAMS/$program"
done
"""


@pytest.fixture
def bare_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of all programs that there are: only apt-get, and what it needs."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("sh", "chmod"):
        (programs / name).symlink_to(f"/bin/{name}")
    _script(programs / "apt-get", _APT)
    monkeypatch.setattr(install, "_SYSTEM_FOLDERS", ())
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setenv("PROGRAMS", str(programs))
    monkeypatch.setenv("APT_RUNS", str(tmp_path / "runs"))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return programs


def test_the_superuser_gets_the_packages_that_podman_lacks(bare_system: Path, tmp_path: Path) -> None:
    _script(bare_system / "runc", "#!/bin/sh\n")
    assert install_podman() == bare_system / "podman"
    assert install_podman() == bare_system / "podman"
    update, packages = (tmp_path / "runs").read_text().splitlines()
    assert update == "-qq update"
    assert packages == (
        "-qq install -y --no-install-recommends aardvark-dns catatonit conmon iproute2 iptables netavark podman util-linux"
    )


def test_others_are_told_the_packages_that_podman_lacks(bare_system: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(
        Alert, match=r"without podman, runc, .*apt-get install aardvark-dns .* podman runc util-linux"
    ):
        install_podman()


def test_packages_that_cannot_be_had_are_told(bare_system: Path) -> None:
    _script(bare_system / "apt-get", "#!/bin/sh\necho no route >&2\nexit 100\n")
    with pytest.raises(Alert, match=r"apt-get -qq update failed:\nno route"):
        install_podman()
