"""What the real servers need: Apache Kafka by Maven, Podman and PostgreSQL of the system's packages, a cluster's programs.

Kafka goes into a cache outside the checkout. Its folder appears under its final name only when it is complete, so an
interrupted install leaves nothing that could be used, and of several at once one works while the others wait. Podman
and PostgreSQL are installed where that is allowed: on Debian, for root. From the shell all of this is done by
`python -m runstart.facility kafka podman cluster postgresql`.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from runstart.errors import Alert
from runstart.facility.processes import dying_with_us

KAFKA_VERSION = "4.1.1"

_PODMAN_PROGRAMS = {
    "podman": "podman",
    "runc": "runc",
    "conmon": "conmon",
    "catatonit": "catatonit",
    "netavark": "netavark",
    "aardvark-dns": "aardvark-dns",
    "iptables": "iptables",
    "ip": "iproute2",
    "unshare": "util-linux",
    "nsenter": "util-linux",
}
_SYSTEM_FOLDERS = (
    "/usr/local/sbin",
    "/usr/sbin",
    "/sbin",
    "/usr/bin",
    "/usr/lib/podman",
    "/usr/libexec/podman",
    "/usr/lib/cni",
)

_POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>runstart</groupId>
  <artifactId>apache-kafka</artifactId>
  <version>{KAFKA_VERSION}</version>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka_2.13</artifactId>
      <version>{KAFKA_VERSION}</version>
    </dependency>
    <dependency>
      <groupId>org.slf4j</groupId>
      <artifactId>slf4j-simple</artifactId>
      <version>1.7.36</version>
    </dependency>
  </dependencies>
</project>
"""


def cache_dir() -> Path:
    """Return the folder in which Runstart keeps what it fetches: `$XDG_CACHE_HOME/runstart` or `~/.cache/runstart`.

    Returns
    -------
    Path
        The folder, which may not exist yet.
    """
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "runstart"


def kafka_dir() -> Path:
    """Return the folder in which this version of Apache Kafka is, or will be, installed.

    Returns
    -------
    Path
        Folder whose `libs` holds the jars.
    """
    return cache_dir() / f"kafka-{KAFKA_VERSION}"


def install_kafka(folder: Path | None = None) -> Path:
    """Install Apache Kafka unless it is there already.

    Parameters
    ----------
    folder : Path, optional
        Where to; `kafka_dir()` by default.

    Returns
    -------
    Path
        The folder, complete.

    Raises
    ------
    Alert
        If Maven or Java is missing, or Maven could not fetch what is needed.
    """
    return complete_folder(kafka_dir() if folder is None else folder, _fetch)


def install_podman() -> Path:
    """Install Podman and what it runs, unless all is there already.

    Returns
    -------
    Path
        The program `podman`.

    Raises
    ------
    Alert
        If something is missing and cannot be installed: it names Debian's packages.
    """
    install_packages_of(_PODMAN_PROGRAMS)
    return Path(find_podman_programs()["podman"])


def find_podman_programs() -> dict[str, str]:
    """Return the paths of Podman and of all that it runs, by name.

    Raises
    ------
    Alert
        If one is missing: it names Debian's packages.
    """
    return find_programs(_PODMAN_PROGRAMS, "Podman")


def complete_folder(folder: Path, fill: Callable[[Path], None]) -> Path:
    """Make a folder that is there only when it is complete; of several processes at once one works, the others wait.

    Parameters
    ----------
    folder : Path
        Left as it is if it is there.
    fill : callable
        Fills an empty folder, which gets the final name afterwards.

    Returns
    -------
    Path
        The folder, complete.
    """
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(folder.name + ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            partial = folder.with_name(folder.name + ".partial")
            # Ours is the lock: what is there was left by an install that was interrupted.
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            fill(partial)
            partial.rename(folder)
    return folder


def find_programs(programs: Mapping[str, str], user: str) -> dict[str, str]:
    """Return the paths of programs of the system, by name.

    Parameters
    ----------
    programs : mapping of str to str
        Debian's package of each.
    user : str
        What runs them, for the error.

    Raises
    ------
    Alert
        If one is missing: it names Debian's packages.
    """
    found = {name: find_in_system(name) for name in programs}
    missing = [name for name, path in found.items() if path is None]
    if missing:
        packages = " ".join(sorted({programs[name] for name in missing}))
        raise Alert(
            f"{user} cannot be run without {', '.join(missing)}.",
            f"Install them (Debian: apt-get install {packages}), or run this as root.",
        )
    return {name: path for name, path in found.items() if path is not None}


def install_packages_of(programs: Mapping[str, str]) -> None:
    """Install Debian's packages of those programs that are missing, where that is possible.

    What is missing afterwards is told by whoever needs it.

    Parameters
    ----------
    programs : mapping of str to str
        Debian's package of each.

    Raises
    ------
    Alert
        If apt-get fails.
    """
    packages = sorted({package for name, package in programs.items() if find_in_system(name) is None})
    if packages:
        _install_packages(packages)


def find_in_system(name: str) -> str | None:
    """Return the path of a program, also where only the superuser's path leads, or only engines look.

    Parameters
    ----------
    name : str
        Without a folder.
    """
    return shutil.which(name) or shutil.which(name, path=os.pathsep.join(_SYSTEM_FOLDERS))


def java_program() -> str:
    """Return the Java launcher: that of `JAVA_HOME`, or the one on the path.

    Returns
    -------
    str
        Path of the program.

    Raises
    ------
    Alert
        If there is none.
    """
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=str(Path(home) / "bin")) if home else None
    return found or _program("java", "openjdk-17-jre-headless")


def _fetch(folder: Path) -> None:
    java_program()
    maven = _program("mvn", "maven")
    (folder / "pom.xml").write_text(_POM)
    goal = [maven, "-q", "-B", "dependency:copy-dependencies", "-DincludeScope=runtime", "-DoutputDirectory=libs"]
    done = subprocess.run(dying_with_us(goal), cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        what = f"Maven could not fetch Apache Kafka {KAFKA_VERSION}:\n{(done.stdout + done.stderr)[-3000:]}"
        raise Alert(what, "See that Maven reaches its repository, then try again.")


def _install_packages(packages: list[str]) -> None:
    apt = shutil.which("apt-get")
    if apt is None or os.geteuid() != 0:
        return
    install = [apt, "-qq", "install", "-y", "--no-install-recommends", *packages]
    for command in ([apt, "-qq", "update"], install):
        done = subprocess.run(
            command,
            env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            what = f"{' '.join(command)} failed:\n{(done.stdout + done.stderr)[-3000:]}"
            raise Alert(what, "See that apt-get reaches its repositories, then try again.")


def _program(name: str, package: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise Alert(f"Apache Kafka needs the program `{name}`, which is not on the path.", f"Install {package}.")
    return found
