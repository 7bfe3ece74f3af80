"""The programs of a cluster: built once from pinned Go modules, and kept in the cache outside the checkout.

Each module's go.mod and go.sum fix every source by its checksum. The folder of programs is named after their digest and
appears under its final name only when it is complete; of several installs at once one works while the others wait. What
is not written in Go, or is the system's own business, comes from Debian's packages.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from runstart.errors import Alert
from runstart.facility.install import cache_dir, complete_folder, find_programs, install_packages_of
from runstart.facility.processes import dying_with_us

_MODULES = Path(__file__).with_name("modules")
_OLDEST_GO = (1, 26)
_SYSTEM = {
    "runc": "runc",
    "iptables": "iptables",
    "ip": "iproute2",
    "catatonit": "catatonit",
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "ptp": "containernetworking-plugins",
    "mount": "mount",
}


@dataclass(frozen=True)
class _Module:
    """Programs of one Go module: the name of each, and its package."""

    name: str
    programs: dict[str, str]
    flags: tuple[str, ...] = ()


def _kubernetes() -> _Module:
    required = re.search(r"k8s\.io/kubernetes v(1)\.(\d+)\.\S+", (_MODULES / "kubernetes" / "go.mod").read_text())
    if required is None:
        raise AssertionError("kubernetes/go.mod names no version")
    version = required.group().rpartition(" ")[2]
    said = {"gitVersion": version, "gitMajor": required[1], "gitMinor": required[2]}
    names = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet", "kubectl")
    variables = " ".join(f"-X k8s.io/component-base/version.{name}={value}" for name, value in said.items())
    programs = {name: f"k8s.io/kubernetes/cmd/{name}" for name in names}
    return _Module("kubernetes", programs, ("-ldflags", f"-s -w {variables}"))


_CONTAINERD = "github.com/containerd/containerd/v2/cmd"
_STRIPPED = ("-ldflags", "-s -w")
_OTHERS = (
    _Module("pause", {"pause": "."}, _STRIPPED),
    _Module("etcd", {"etcd": "go.etcd.io/etcd/server/v3"}, _STRIPPED),
    _Module("coredns", {"coredns": "."}, _STRIPPED),
    _Module(
        "containerd",
        {name: f"{_CONTAINERD}/{name}" for name in ("containerd", "containerd-shim-runc-v2", "ctr")},
        ("-tags", "no_btrfs no_zfs no_devmapper", *_STRIPPED),
    ),
)


def cluster_programs_dir() -> Path:
    """Return the folder in which these versions of the programs are, or will be, installed."""
    digest = hashlib.sha256()
    for file in sorted(path for path in _MODULES.rglob("*") if path.is_file()):
        digest.update(file.relative_to(_MODULES).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    digest.update(repr((_kubernetes(), _OTHERS)).encode())
    return cache_dir() / f"cluster-{digest.hexdigest()[:16]}"


def install_cluster() -> Path:
    """Build the programs of a cluster unless they are there already: about ten minutes on two processors, once.

    Returns
    -------
    Path
        The folder, complete.

    Raises
    ------
    Alert
        If Go is missing or too old, a module cannot be fetched or built, or a package of the system is missing and cannot
        be installed.
    """
    install_packages_of(_SYSTEM)
    find_system_programs()
    return complete_folder(cluster_programs_dir(), _build)


def find_system_programs() -> dict[str, str]:
    """Return the paths of the system's programs that a cluster runs, by name.

    Raises
    ------
    Alert
        If one is missing: it names Debian's packages.
    """
    return find_programs(_SYSTEM, "A cluster")


def _build(folder: Path) -> None:
    go = _find_go()
    for module in (*_OTHERS, _kubernetes()):
        for name, package in module.programs.items():
            sys.stderr.write(f"Building {name} ...\n")
            _run_go(go, module, ["-o", str(folder / name), package])


def _run_go(go: str, module: _Module, arguments: list[str]) -> None:
    command = [go, "build", "-trimpath", "-mod=readonly", "-buildvcs=false", *module.flags, *arguments]
    environment = os.environ | {"CGO_ENABLED": "0", "GOFLAGS": ""}
    done = subprocess.run(
        dying_with_us(command),
        cwd=_MODULES / module.name,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        what = f"{module.name} could not be built:\n{(done.stdout + done.stderr)[-3000:]}"
        raise Alert(what, "See that Go reaches its module proxy, then try again: what is built is kept.")


def _find_go() -> str:
    go = shutil.which("go")
    remedy = f"Install Go {'.'.join(map(str, _OLDEST_GO))} or later."
    if go is None:
        raise Alert("The programs of a cluster are built by Go, which is not on the path.", remedy)
    said = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, check=False, cwd="/").stdout
    numbers = re.match(r"go(\d+)\.(\d+)", said)
    if numbers is None or tuple(map(int, numbers.groups())) < _OLDEST_GO:
        raise Alert(f"{go} is {said.strip() or 'of an unknown version'}.", remedy)
    return go
