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
        `RUNSTART_LAUNCHER` is `processes` (or empty), `containers` or `kubernetes`. For containers, `DOCKER_HOST` (and
        `DOCKER_TLS_VERIFY`, `DOCKER_CERT_PATH`) says where the engine is; for a cluster, `KUBECONFIG` or the service
        account of this pod, and `RUNSTART_LAUNCHER_NAMESPACE` and the like (`runstart.launchers._pod_settings`) how
        tasks run there. `RUNSTART_IMAGES` says what images may be run: beginnings of names such as `ghcr.io/nersc/`,
        and names with a digest, separated by commas; empty for any.

    Raises
    ------
    Alert
        If a variable does not have its form.
    """
    kind = environ.get("RUNSTART_LAUNCHER") or "processes"
    if kind == "processes":
        from runstart.launchers.subprocess_launcher import SubprocessLauncher

        return SubprocessLauncher()
    images = environ.get("RUNSTART_IMAGES", "").split(",")
    if kind == "containers":
        from runstart.launchers.docker_launcher import DockerLauncher

        return DockerLauncher(environ, images)
    if kind == "kubernetes":
        from runstart.launchers.kubernetes_launcher import KubernetesLauncher

        return KubernetesLauncher(environ, images)
    raise Alert(f"RUNSTART_LAUNCHER is {kind[:80]!r}.", "Say processes, containers or kubernetes.")
