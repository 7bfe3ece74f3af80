"""Which launcher a deployment runs things with: the environment says."""

from __future__ import annotations

from collections.abc import Mapping

from runstart.errors import Alert
from runstart.launchers.launcher import Launcher


def open_launcher(environ: Mapping[str, str]) -> Launcher:
    """Return the launcher that the environment names; nothing is started, and no engine asked.

    Parameters
    ----------
    environ : mapping of str to str
        `RUNSTART_LAUNCHER` is `processes` (or empty) or `containers`. For containers, `DOCKER_HOST` (and
        `DOCKER_TLS_VERIFY`, `DOCKER_CERT_PATH`) says where the engine is, and `RUNSTART_IMAGES` what images may be
        run: beginnings of names such as `ghcr.io/nersc/`, and names with a digest, separated by commas; empty for any.

    Raises
    ------
    Alert
        If a variable does not have its form.
    """
    kind = environ.get("RUNSTART_LAUNCHER") or "processes"
    if kind == "processes":
        from runstart.launchers.subprocess_launcher import SubprocessLauncher

        return SubprocessLauncher()
    if kind == "containers":
        from runstart.launchers.docker_launcher import DockerLauncher

        return DockerLauncher(environ, environ.get("RUNSTART_IMAGES", "").split(","))
    raise Alert(f"RUNSTART_LAUNCHER is {kind[:80]!r}.", "Say processes, or containers.")
