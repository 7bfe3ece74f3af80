"""Apache Kafka is fetched once from Maven Central by Maven itself, into a cache outside the checkout.

The folder appears under its final name only when it is complete, so an interrupted install leaves nothing that
could be used, and of several at once one works while the others wait. `python -m runstart.facility.install kafka`
does it from the shell.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

from runstart.errors import Alert
from runstart.facility.processes import dying_with_us

KAFKA_VERSION = "4.1.1"

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
    folder = kafka_dir() if folder is None else folder
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(folder.name + ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            _fetch(folder)
    return folder


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
    partial = folder.with_name(folder.name + ".partial")
    # Ours is the lock: what is there was left by an install that was interrupted.
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    (partial / "pom.xml").write_text(_POM)
    goal = [maven, "-q", "-B", "dependency:copy-dependencies", "-DincludeScope=runtime", "-DoutputDirectory=libs"]
    done = subprocess.run(dying_with_us(goal), cwd=partial, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        what = f"Maven could not fetch Apache Kafka {KAFKA_VERSION}:\n{(done.stdout + done.stderr)[-3000:]}"
        raise Alert(what, "See that Maven reaches its repository, then try again.")
    partial.rename(folder)


def _program(name: str, package: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise Alert(f"Apache Kafka needs the program `{name}`, which is not on the path.", f"Install {package}.")
    return found


def _main(arguments: list[str]) -> int:
    if arguments != ["kafka"]:
        sys.stderr.write("usage: python -m runstart.facility.install kafka\n")
        return 2
    try:
        sys.stdout.write(f"{install_kafka()}\n")
    except Alert as alert:
        sys.stderr.write(f"{alert}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
