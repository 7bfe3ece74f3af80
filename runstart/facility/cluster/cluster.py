"""A real Kubernetes with one node, in namespaces of its own: API server, controllers, scheduler, kubelet, containerd, DNS.

The node is a host of its own beside this machine, joined to it by a pair of virtual interfaces. Pods see this machine's
files (by hostPath) and reach its servers at `Cluster.host_address`; this machine reaches the API server, pods and services.
When it stops, or is killed, the kernel takes all of it; only empty control groups may stay, until the next start.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from runstart.errors import Alert, Transient
from runstart.facility.cluster import settings as where
from runstart.facility.cluster.access import RunningCluster
from runstart.facility.cluster.archives import make_tar, write_image
from runstart.facility.cluster.credentials import make_credentials
from runstart.facility.cluster.programs import find_system_programs
from runstart.facility.cluster.settings import Place, Settings
from runstart.facility.install import cache_dir
from runstart.facility.namespaces import Namespaces, remove_control_groups
from runstart.facility.processes import Server

_KEPT_FOLDERS = ("var/lib", "usr/libexec")  # in which kubelet and plugins make folders: there they are made in ours
_MOST = 8
# Linux has 107 bytes for the path of a socket.
_LONGEST_FOLDER = 107 - len("/kubelet/pod-resources/4294967295")
_LOOK_S = 0.1


class Cluster(RunningCluster):
    """A cluster of the superuser's; a context manager. Eight at most on a machine at a time.

    Parameters
    ----------
    data_dir : Path
        Folder of all that it keeps; must not be used before.
    start_timeout : float, optional
        Seconds that each part may take until it answers.
    """

    def __init__(self, data_dir: Path, start_timeout: float = 120.0) -> None:
        super().__init__(data_dir)
        self._patience_s = start_timeout
        self._namespaces: Namespaces | None = None
        self._parts: dict[str, _Part] = {}
        self._claim: _Claim | None = None

    def __enter__(self) -> Cluster:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start all parts, and return when the node is ready.

        Raises
        ------
        Alert
            If this is not the superuser, a program is missing, the folder's path is too long, or a part ends at once: with
            its log.
        Transient
            If a part does not answer in time; then everything has been stopped.
        """
        if os.geteuid() != 0:
            raise Alert("A cluster is started for the superuser only.", "Run this as root.")
        if not self.programs.is_dir():
            raise Alert("The programs of a cluster are not there.", "python -m runstart.facility cluster")
        if len(os.fsencode(self.data_dir)) > _LONGEST_FOLDER:
            raise Alert(f"The path {self.data_dir} is too long for sockets in it.", "Choose a shorter one.")
        system = find_system_programs()
        self._claim = _Claim()
        try:
            self._start(self._claim.place, system)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End everything, and remove what was kept."""
        for part in reversed(self._parts.values()):
            part.kill()
        self._parts.clear()
        if self._namespaces is not None:
            self._namespaces.kill()
            self._namespaces = None
        shutil.rmtree(self.data_dir, ignore_errors=True)
        if self._claim is not None:
            remove_control_groups(self._claim.place.control_group)
            self._claim.close()
            self._claim = None

    def stop_kubelet(self) -> None:
        """Take the node's agent away, as if the node were lost; its containers run on."""
        self._parts["kubelet"].kill()

    def start_kubelet(self) -> None:
        """Bring the node's agent back, and wait until the node is ready."""
        self._parts["kubelet"].start()
        self._wait_for_node()

    def _start(self, place: Place, system: dict[str, str]) -> None:
        # An earlier one may have been killed.
        remove_control_groups(place.control_group)
        for controller in _controllers():
            (controller / place.control_group).mkdir()
        make_credentials(self.credentials.folder, place.api_url, place.api_names, self.node_name)
        told = Settings(self.data_dir, self.programs, system, self.credentials, place)
        told.write()
        self._namespaces = Namespaces("the cluster", _preparation(self.data_dir), system["catatonit"])
        self._namespaces.start()
        self._describe(place, self._namespaces.first)
        _join(self._namespaces, place)
        self._begin("etcd", told.etcd())
        self._begin("containerd", told.containerd())
        self._begin("apiserver", told.apiserver(), lambda: self._answers("get", "--raw", "/readyz"))
        self._begin("controller-manager", told.controller_manager())
        self._begin("scheduler", told.scheduler())
        self._import_pause()
        self._begin("kubelet", told.kubelet())
        self._begin("proxy", told.proxy())
        self._begin("dns", told.dns())
        self._wait_for_node()
        self._wait("the default service account", lambda: self._answers("get", "serviceaccount", "default"))

    def _begin(self, name: str, command: list[str], is_ready: Callable[[], bool] = lambda: True) -> None:
        if self._namespaces is None:
            raise AssertionError("the namespaces are made before the parts")
        part = self._parts[name] = _Part(
            name, self._namespaces, self.data_dir / "logs", command, is_ready, self._patience_s
        )
        part.start()

    def _import_pause(self) -> None:
        archive = self.data_dir / "pause.tar"
        program = (self.programs / "pause").read_bytes()
        settings = {"Entrypoint": ["/pause"], "User": "65535:65535"}
        write_image(archive, where.PAUSE_IMAGE, make_tar({"pause": (program, 0o755)}), settings)
        self._wait("containerd", lambda: self.run_ctr("version").returncode == 0)
        self.import_image(archive)

    def _wait_for_node(self) -> None:
        ready = 'jsonpath={.status.conditions[?(@.type=="Ready")].status}'

        def is_ready() -> bool:
            try:
                return self.kubectl("get", "node", self.node_name, "-o", ready) == "True"
            except Alert:
                return False

        self._wait("the node", is_ready)

    def _answers(self, *arguments: str) -> bool:
        try:
            self.kubectl(*arguments)
        except Alert:
            return False
        return True

    def _wait(self, what: str, is_time: Callable[[], bool]) -> None:
        deadline = time.monotonic() + self._patience_s
        while not is_time():
            for part in self._parts.values():
                part.check()
            if time.monotonic() > deadline:
                raise Transient(f"The cluster waited in vain for {what}; see the logs in {self.data_dir / 'logs'}.")
            time.sleep(_LOOK_S)


class _Part(Server):
    """One program of the cluster."""

    stop_patience = 5.0

    def __init__(
        self,
        name: str,
        namespaces: Namespaces,
        folder: Path,
        command: list[str],
        is_ready: Callable[[], bool],
        start_timeout: float,
    ) -> None:
        super().__init__(folder, start_timeout)
        self.name = name
        self._namespaces = namespaces
        self._inner = command
        self._asks = is_ready

    def check(self) -> None:
        """Raise an alert if it has ended."""
        if not self.running:
            raise Alert(f"{self.name} of the cluster has ended.", f"The end of its log:\n{self._log_tail()}")

    def _command(self) -> list[str]:
        return self._namespaces.inside(self._inner)

    def _is_ready(self) -> bool:
        return self._asks()


class _Claim:
    """A place that no other cluster of this machine has, ours as long as its file is locked."""

    def __init__(self) -> None:
        cache_dir().mkdir(parents=True, exist_ok=True)
        for number in range(_MOST):
            lock = (cache_dir() / f"cluster-{number}.lock").open("w")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.close()
                continue
            self.place = Place(number)
            self._lock = lock
            return
        raise Alert(f"{_MOST} clusters run on this machine.", "Stop one.")

    def close(self) -> None:
        """Leave the place to others."""
        self._lock.close()


def _controllers() -> list[Path]:
    """Return the folders of the hierarchies of control groups in which the kubelet makes groups."""
    top = Path("/sys/fs/cgroup")
    if (top / "cgroup.controllers").exists():
        return [top]
    return [folder for folder in top.iterdir() if folder.is_dir() and folder.name != "unified"]


def _preparation(folder: Path) -> str:
    """Return what is done inside before anything starts there."""
    lines = ["mount -t tmpfs tmpfs /run", "mount -t tmpfs tmpfs /var/log", "ip link set lo up"]
    for name in _KEPT_FOLDERS:
        upper, work = folder / "over" / name / "upper", folder / "over" / name / "work"
        upper.mkdir(parents=True)
        work.mkdir(parents=True)
        layers = f"lowerdir=/{name},upperdir={upper},workdir={work}"
        lines.append(f"mount -t overlay overlay -o {layers} /{name}")
    for name in where.KERNEL_SETTINGS:
        copy = folder / "kernel" / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(Path("/proc/sys", name).read_text())
        lines.append(f"mount --bind {copy} /proc/sys/{name}")
    lines.append("[ ! -e /etc/resolv.conf ] || mount --bind /dev/null /etc/resolv.conf")
    lines.append("echo 1 > /proc/sys/net/ipv4/ip_forward")
    return "\n".join(lines)


def _join(namespaces: Namespaces, place: Place) -> None:
    """Join the node to this machine; the interfaces go with the node's namespace."""
    outside = [
        ["link", "add", place.link, "type", "veth", "peer", "name", "eth0", "netns", str(namespaces.first)],
        ["address", "add", f"{place.host}/30", "dev", place.link],
        ["link", "set", place.link, "up"],
        *(["route", "add", network, "via", place.node] for network in (place.pods, place.services)),
    ]
    inside = [
        ["address", "add", f"{place.node}/30", "dev", "eth0"],
        ["link", "set", "eth0", "up"],
        ["route", "add", "default", "via", place.host],
    ]
    commands = [["ip", *words] for words in outside[:1]]
    commands += [namespaces.inside(["ip", *words]) for words in inside[:2]]
    commands += [["ip", *words] for words in outside[1:]]
    commands += [namespaces.inside(["ip", *words]) for words in inside[2:]]
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Alert(
                f"The cluster's network could not be made: {done.stderr.strip()}", f"{' '.join(command)} failed."
            )
