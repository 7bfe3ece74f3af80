"""A real container engine, Podman, with namespaces of its own: nothing of it reaches this machine's, and none outlives us.

A first process holds the namespaces of mounts, network and processes; the engine and all that it starts live inside.
So an engine that is killed leaves its containers running, as on any machine, and the next one finds them; but when we
stop, or are killed, the kernel takes everything: containers, networks, rules of the firewall, mounts.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import time
from pathlib import Path

from runstart.errors import Alert, Transient
from runstart.facility.install import find_podman_programs
from runstart.facility.processes import Server, dying_with_us
from runstart.host import is_alive

_FOLDERS = ("root", "networks", "tmp")
_HOLDER_S = 10.0
# Without a name server of this machine's, names that are not on a network are known at once to be none.
_INSIDE = """
[ ! -e /etc/resolv.conf ] || mount --bind /dev/null /etc/resolv.conf
mount -t tmpfs tmpfs /run && ip link set lo up && exec {init} -- sleep infinity
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
        self._holder: subprocess.Popen[bytes] | None = None

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
        if self._holder is not None:
            _kill_with_namespaces(self._holder)
            self._holder = None
        for container in (self.data_dir / "root" / "overlay-containers").glob("[0-9a-f]*/"):
            _remove_control_groups(container.name)
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
        if self._holder is None:
            self._holder = _hold_namespaces(programs["catatonit"])

    def _command(self) -> list[str]:
        if self._holder is None:
            raise AssertionError("the namespaces are made before the engine")
        first = _only_child(self._holder.pid)
        if first is None:
            raise Alert(
                "The process that holds Podman's namespaces was killed.", "Stop Podman, and start it again."
            )
        inside = ["nsenter", "--target", str(first), "--mount", "--net", "--pid", "--"]
        variables = [f"CONTAINERS_CONF={self.data_dir / 'containers.conf'}", f"TMPDIR={self.data_dir / 'tmp'}"]
        # Podman wants short paths for what lasts as long as it runs.
        places = ["--root", str(self.data_dir / "root"), "--runroot", "/run/containers", "--tmpdir", "/run/libpod"]
        return [*inside, "env", *variables, "podman", *places, "system", "service", "--time", "0", self.url]

    def _is_ready(self) -> bool:
        import docker
        from docker.errors import DockerException

        try:
            client = docker.APIClient(self.url, version="auto", timeout=2)
        except DockerException:
            return False
        client.close()
        return True


def _hold_namespaces(init: str) -> subprocess.Popen[bytes]:
    """Start the process that holds the namespaces, and return it as soon as they are ready."""
    namespaces = ["--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private"]
    command = ["unshare", *namespaces, "sh", "-c", _INSIDE.format(init=shlex.quote(init))]
    holder = subprocess.Popen(dying_with_us(command), stdin=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + _HOLDER_S
    while time.monotonic() < deadline and holder.poll() is None:
        first = _only_child(holder.pid)
        if first is not None and _program(first) == init:
            return holder
        time.sleep(0.02)
    _kill_with_namespaces(holder)
    raise Transient("The namespaces for Podman could not be made; see what unshare printed.")


def _kill_with_namespaces(holder: subprocess.Popen[bytes]) -> None:
    first = _only_child(holder.pid)
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    deadline = time.monotonic() + _HOLDER_S
    # The kernel ends it only when every process inside is gone.
    while first is not None and is_alive(first, time.time()):
        if time.monotonic() > deadline:
            raise Transient(f"Podman's processes did not end within {_HOLDER_S:g} s.")
        time.sleep(0.02)


def _remove_control_groups(container: str) -> None:
    """Remove the empty control groups of a container that died with all that would have removed them."""
    for depth in ("", "*/"):
        for top in Path("/sys/fs/cgroup").glob(f"{depth}libpod_parent/libpod-{container}"):
            for folder in (*sorted((path for path in top.rglob("*") if path.is_dir()), reverse=True), top):
                folder.rmdir()


def _only_child(process: int) -> int | None:
    try:
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    except FileNotFoundError:
        return None
    return int(children[0]) if children else None


def _program(process: int) -> str:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes().partition(b"\0")[0].decode()
    except FileNotFoundError:
        return ""
