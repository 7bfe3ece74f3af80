"""A real container engine, Podman, with namespaces of its own: nothing of it reaches this machine's, and none outlives us.

A first process holds the namespaces of mounts, network and processes; the engine and all that it starts live inside.
So an engine that is killed leaves its containers running, as on any machine, and the next one finds them; but when we
stop, or are killed, the kernel takes everything: containers, networks, rules of the firewall, mounts.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from runstart.errors import Alert
from runstart.facility.install import find_podman_programs
from runstart.facility.namespaces import Namespaces, remove_control_groups
from runstart.facility.processes import Server

_FOLDERS = ("root", "networks", "tmp")
# Without a name server of this machine's, names that are not on a network are known at once to be none.
_PREPARATION = """
[ ! -e /etc/resolv.conf ] || mount --bind /dev/null /etc/resolv.conf
mount -t tmpfs tmpfs /run
ip link set lo up
"""
# Its default runtime fails where cgroups are hybrid, and its default limits where this process's own are lower.
_CONFIGURATION = """
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=4096:4096"]
cgroupns = "host"

[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"

[engine.runtimes]
runc = ["{runc}"]

[network]
network_backend = "netavark"
network_config_dir = "{networks}"
"""


class Podman(Server):
    """Podman as a service on a Unix socket, for the superuser; it pulls nothing, for it has no way out.

    Parameters
    ----------
    data_dir : Path
        Folder of all that it keeps; a short path, for the socket is in it.
    start_timeout : float, optional
        Seconds that it may take until it answers.
    """

    name = "podman"

    def __init__(self, data_dir: Path, start_timeout: float = 60.0) -> None:
        super().__init__(data_dir, start_timeout)
        self._namespaces: Namespaces | None = None

    @property
    def url(self) -> str:
        """The address for clients; the same after a restart."""
        return f"unix://{self._socket}"

    @property
    def environment(self) -> dict[str, str]:
        """The variable with which a process reaches this engine."""
        return {"DOCKER_HOST": self.url}

    def start(self) -> None:
        """Start the engine, with the containers that run already if there was one before, and wait until it answers.

        Raises
        ------
        Alert, Transient
            It does not start; then everything has been stopped.
        """
        try:
            super().start()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the engine with all containers and networks, and remove what it kept."""
        super().stop()
        if self._namespaces is not None:
            self._namespaces.kill()
            self._namespaces = None
        for container in (self.data_dir / "root" / "overlay-containers").glob("[0-9a-f]*/"):
            remove_control_groups(f"libpod_parent/libpod-{container.name}")
        for folder in _FOLDERS:
            shutil.rmtree(self.data_dir / folder, ignore_errors=True)

    @property
    def _socket(self) -> Path:
        return self.data_dir / "podman.sock"

    def _prepare(self) -> None:
        programs = find_podman_programs()
        if os.geteuid() != 0:
            raise Alert("Podman is started for the superuser only.", "Run this as root.")
        for folder in _FOLDERS:
            (self.data_dir / folder).mkdir(exist_ok=True)
        text = _CONFIGURATION.format(runc=programs["runc"], networks=self.data_dir / "networks")
        (self.data_dir / "containers.conf").write_text(text)
        # One that was killed has left it.
        self._socket.unlink(missing_ok=True)
        if self._namespaces is None:
            self._namespaces = Namespaces("Podman", _PREPARATION, programs["catatonit"])
            self._namespaces.start()

    def _command(self) -> list[str]:
        if self._namespaces is None:
            raise AssertionError("the namespaces are made before the engine")
        variables = [f"CONTAINERS_CONF={self.data_dir / 'containers.conf'}", f"TMPDIR={self.data_dir / 'tmp'}"]
        # Podman wants short paths for what lasts as long as it runs.
        places = ["--root", str(self.data_dir / "root"), "--runroot", "/run/containers", "--tmpdir", "/run/libpod"]
        command = ["env", *variables, "podman", *places, "system", "service", "--time", "0", self.url]
        return self._namespaces.inside(command)

    def _is_ready(self) -> bool:
        import docker
        from docker.errors import DockerException

        try:
            client = docker.APIClient(self.url, version="auto", timeout=2)
        except DockerException:
            return False
        client.close()
        return True
