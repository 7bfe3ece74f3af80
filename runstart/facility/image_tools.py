"""What images are built with: buildah, skopeo and debootstrap, each command in namespaces of its own.

Whatever ends a command, or us, the kernel takes its mounts and its processes along.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from runstart.errors import Alert
from runstart.facility.install import find_in_system, find_programs, install_packages_of
from runstart.facility.processes import dying_with_us

__all__ = ["DEBIAN_PACKAGES", "Storage", "install_image_tools", "make_debian", "run_apart"]

DEBIAN_PACKAGES = ("ca-certificates", "python3", "python3-venv")
"""What `make_debian` adds to the least that Debian is."""

_PROGRAMS = {
    "buildah": "buildah",
    "debootstrap": "debootstrap",
    "skopeo": "skopeo",
    "tar": "tar",
    "unshare": "util-linux",
}
_NAMESPACES = ("--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private")
_LEFT_OUT = ("proc/*", "sys/*", "var/cache/apt/*", "var/lib/apt/lists/*")
# Nothing is pulled: all that is copied is our own.
_POLICY = '{"default": [{"type": "insecureAcceptAnything"}]}'


def install_image_tools() -> None:
    """Install the programs that are missing.

    Raises
    ------
    Alert
        If one is missing and cannot be installed, or this is not run by the superuser.
    """
    if os.geteuid() != 0:
        raise Alert("Images are built by the superuser only.", "Run this as root.")
    install_packages_of(_PROGRAMS)
    find_programs(_PROGRAMS, "The builder of images")


def make_debian(archive: Path, scratch: Path) -> None:
    """Make the root of a small Debian with Python, of this machine's release and from where it gets its packages.

    Parameters
    ----------
    archive : Path
        The tar file to write; under its name only when it is complete.
    scratch : Path
        Folder for what it is made of, on the same file system.

    Raises
    ------
    Alert
        If this machine is no Debian, or debootstrap fails.
    """
    mirror, codename = _find_mirror()
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        root = Path(folder) / "root"
        include = f"--include={','.join(DEBIAN_PACKAGES)}"
        run_apart(["debootstrap", "--variant=minbase", include, codename, str(root), mirror], Path(folder))
        # As in the image that a facility builds on.
        (root / "usr/bin/python").symlink_to("python3")
        partial = Path(folder) / "root.tar"
        left_out = [f"--exclude=./{pattern}" for pattern in _LEFT_OUT]
        run_apart(["tar", "--numeric-owner", "-C", str(root), *left_out, "-cf", str(partial), "."], Path(folder))
        partial.rename(archive)


class Storage:
    """Images and layers that buildah keeps between builds.

    Parameters
    ----------
    folder : Path
        Where; one process at a time may use it.
    scratch : Path
        Folder for what is downloaded and unpacked; what pip has fetched is kept in it.
    """

    def __init__(self, folder: Path, scratch: Path) -> None:
        self._folder = folder
        self._scratch = scratch

    @property
    def layers(self) -> int:
        """How many layers it holds."""
        layers = self._folder / "overlay"
        return len(list(layers.iterdir())) if layers.is_dir() else 0

    def has(self, image: str) -> bool:
        """Tell whether it holds an image."""
        return bool(self._buildah("images", "--quiet", "--all", "--filter", f"reference={image}").strip())

    def build(self, image: str, context: Path, *options: str) -> None:
        """Build an image.

        Parameters
        ----------
        image : str
            Its name.
        context : Path
            Folder of what is copied into it.
        *options : str
            Of `buildah build`.

        Raises
        ------
        Alert
            If that fails.
        """
        # One that was killed has left its containers.
        self._buildah("rm", "--all")
        self._buildah("build", "--layers", "--pull-never", "--tag", image, *options, str(context))

    def export(self, image: str, layout: Path, name: str) -> None:
        """Write an image to an OCI layout, uncompressed; layers that are there already are not written again.

        Parameters
        ----------
        image : str
            Its name here.
        layout : Path
            The layout's folder, made if missing.
        name : str
            Its name there.

        Raises
        ------
        Alert
            If that fails.
        """
        with self._places() as (run_folder, policy):
            source = f"containers-storage:[overlay@{self._folder}+{run_folder}]{image}"
            options = ["--quiet", "--dest-oci-accept-uncompressed-layers"]
            command = ["skopeo", "--policy", str(policy), "copy", *options, source, f"oci:{layout}:{name}"]
            run_apart(command, self._scratch)

    def _buildah(self, command: str, *arguments: str) -> str:
        with self._places() as (run_folder, policy):
            places = ["--root", str(self._folder), "--runroot", str(run_folder), "--storage-driver", "overlay"]
            extra = ["--isolation", "chroot", "--signature-policy", str(policy)] if command == "build" else []
            return run_apart(["buildah", *places, command, *extra, *arguments], self._scratch)

    @contextlib.contextmanager
    def _places(self) -> Iterator[tuple[Path, Path]]:
        """Give a folder for what is true as long as one command's mounts, and the file of a policy."""
        with tempfile.TemporaryDirectory(dir=self._scratch) as folder:
            policy = Path(folder) / "policy.json"
            policy.write_text(_POLICY)
            yield Path(folder) / "run", policy


def run_apart(command: list[str], scratch: Path) -> str:
    """Run a command in namespaces of mounts and processes of its own, and return what it printed.

    Parameters
    ----------
    command : list of str
        The program, found on the path, and its arguments.
    scratch : Path
        Its folder for temporary files.

    Raises
    ------
    Alert
        If it fails; the text has the end of what it printed.
    """
    program = find_in_system(command[0])
    if program is None:
        raise Alert(f"The program {command[0]} is missing.", "Run: python -m runstart.facility code-location-image")
    done = subprocess.run(
        dying_with_us(["unshare", *_NAMESPACES, "--", program, *command[1:]]),
        env=os.environ | {"TMPDIR": str(scratch), "DEBIAN_FRONTEND": "noninteractive"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode != 0:
        raise Alert(f"{command[0]} failed. The end of what it printed:\n{done.stdout[-4000:]}")
    return done.stdout


def _find_mirror() -> tuple[str, str]:
    """Return from where this machine gets Debian's packages, and its release's name."""
    apt = shutil.which("apt-get")
    if apt is not None:
        wanted = ["Identifier: Packages", "Origin: Debian", "Component: main"]
        command = [apt, "indextargets", "--format", "$(REPO_URI) $(CODENAME)", *wanted]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        for line in done.stdout.splitlines():
            uri, _, codename = line.partition(" ")
            # Not that of updates or of security alone.
            if codename.isalpha():
                return uri, codename
    raise Alert("Images are built of Debian's packages, and this machine gets none.", "Build on Debian.")
